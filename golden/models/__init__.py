"""Language models and text: loading, structure, token windows."""
