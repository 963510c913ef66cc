"""Quantization in which each layer makes good the errors of those before it, block by block, without training."""
