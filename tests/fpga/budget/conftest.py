"""Fixtures that tests here share with other folders."""

from support.memory_chips import timing
