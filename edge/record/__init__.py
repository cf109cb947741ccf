"""The session log (MCAP): written by a process of its own, read whole or after a crash."""
