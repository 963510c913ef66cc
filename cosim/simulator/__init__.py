"""Simulation of the accelerator with Verilator, driven by cocotb."""
