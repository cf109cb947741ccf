"""Inference engines: a window of features in, the network's answer out."""
