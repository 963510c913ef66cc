"""Weights in an SDRAM beside the FPGA, uploaded once and streamed to the accelerator."""
