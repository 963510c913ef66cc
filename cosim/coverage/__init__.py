"""What the random programs reach: lines and bits of the generated Verilog, and events that matter."""
