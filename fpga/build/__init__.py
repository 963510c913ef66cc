"""From a component to a bitstream: synthesis, placement, routing, packing."""
