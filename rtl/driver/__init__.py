"""The host side of the accelerator: packets, programs, devices."""
