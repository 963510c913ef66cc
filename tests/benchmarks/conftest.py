"""Fixtures that tests here share with other folders."""

from support.benchmarking import benchmark, layers, smallest, traced_cache
from support.boards import build_cache, small
from support.memory_chips import memory_program, timing
from support.simulation import cache, device, sources
