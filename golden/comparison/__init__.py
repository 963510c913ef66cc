"""Compare methods, widths and checkpoints on the same text, in one run."""
