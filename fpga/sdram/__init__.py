"""Weights in an external SDRAM, uploaded once and streamed to the accelerator."""
