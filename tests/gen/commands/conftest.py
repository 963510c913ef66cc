"""Fixtures that tests here share with other folders."""

from support.benchmarking import layers, traced_cache
from support.boards import board_program, build_cache, small, smallest_file
from support.models import (
    _float_model,
    _one_thread,
    family_model,
    float_model,
    prose,
    quantized_model,
    recipe,
    smallest_checkpoint,
    smallest_folder,
    tokenizer,
    windows,
)
from support.planted_faults import run_formal_fixture, with_fault_fixture
from support.simulation import cache, device, logs, sources
