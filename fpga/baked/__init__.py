"""Layers whose weights are in the block RAMs of a finished bitstream, so that only tokens go over the line."""
