"""Builds from a component to a bitstream: synthesis, placement, routing, packing."""
