"""Mutation testing: which changes of the design the regression notices."""
