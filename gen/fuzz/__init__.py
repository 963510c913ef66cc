"""Coverage-guided fuzzing of everything that reads a file or a packet."""
