"""A page with the quantization error of every layer of a model."""
