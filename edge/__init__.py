"""The device runtime of edge-msk. Imports neither torch nor the desktop tools."""

__version__ = "0.1.0"
