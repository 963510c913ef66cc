"""Coverage of random programs: lines and bits of the generated Verilog, events, and values."""
