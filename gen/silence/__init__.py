"""Silence of quantized models against accuracy, cycles, traffic and energy."""
