"""Language models and text: loading, structure, windows of tokens."""
