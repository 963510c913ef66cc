"""Random and directed packet programs."""
