"""What public operations promise: NumPy's answer, whichever backend computes it."""
