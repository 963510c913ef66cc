"""Co-simulation: the generated Verilog against the golden model, output by output."""
