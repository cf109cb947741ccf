"""Musculoskeletal physics in NumPy float64: the reference to which every faster version is held. Depends on NumPy alone."""
