"""From a wrong output to its cause: stage, token, neuron and tick."""
