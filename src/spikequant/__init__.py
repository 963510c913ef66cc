"""Quantized language models as spikes on open hardware: golden model, RTL, co-simulation, bitstreams."""
