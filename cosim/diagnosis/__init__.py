"""Diagnosis of a wrong output: its stage, token, neuron and tick."""
