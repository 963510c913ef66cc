"""Report on the quantization error of every layer of a model."""
