"""Measurements behind the tables of docs/: each module is a command, `python -m tools.bench.NAME`."""
