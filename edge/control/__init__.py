"""What is wanted (assist), what is allowed (safety), and in which mode we are (state)."""
