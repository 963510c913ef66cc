"""Host side of a board: accelerators on a serial port."""
