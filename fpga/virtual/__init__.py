"""A board in Verilator, with its serial line and its memory."""
