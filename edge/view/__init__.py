"""The live view in the terminal, drawn by a process of its own."""
