"""Design-space sweeps: accelerators, recipes and boards, their costs, and the Pareto front."""
