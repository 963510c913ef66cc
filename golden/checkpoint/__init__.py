"""Quantized models as files."""
