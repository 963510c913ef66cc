"""Brevitas, a quantization library that we did not write, on our model, text and windows."""
