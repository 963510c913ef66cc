"""The host side of a board: accelerators behind a serial port."""
