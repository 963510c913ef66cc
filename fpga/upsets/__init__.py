"""Single-bit upsets of a netlist's registers and memories: what share of them is masked, flagged, or silent."""
