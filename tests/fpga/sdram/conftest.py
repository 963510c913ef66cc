"""Fixtures that tests here share with other folders."""

from support.memory_chips import build_trace, memory_board_program, memory_program, timing, trace
