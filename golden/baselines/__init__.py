"""Quantization methods to compare SpikeQuant with, one in each module."""
