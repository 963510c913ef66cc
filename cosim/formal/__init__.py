"""Proofs of the hardware's properties, for all inputs."""
