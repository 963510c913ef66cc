"""Coverage-guided fuzzing of all readers of files and packets."""
