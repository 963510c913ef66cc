"""The accelerator in Verilator, driven by cocotb."""
