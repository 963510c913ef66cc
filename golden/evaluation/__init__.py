"""Perplexity and divergence of quantized models, and real layers as integers."""
