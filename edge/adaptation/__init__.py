"""A trained network becomes the wearer's: by a few seconds of measured torques, or by what is known a third of a second later.

`readout.py` is the regression, `adaptable.py` the network that can be corrected, `calibration.py` learns of measured torques,
`learner.py` of a teacher while the wearer moves, `adapter.py` does so in a process of its own. None of it needs torch.
"""
