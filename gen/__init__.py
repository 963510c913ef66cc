"""From a spec to files: Verilog, manifest, report, and the command line."""
