"""Budgets against the virtual board and the bench of the memory, at the clocks and the speed of the line of boards."""

from pathlib import Path

import numpy as np
import pytest

from spikequant.fpga.budget.check import count_exchange
from spikequant.fpga.budget.exchange import exchange_cost
from spikequant.fpga.budget.setup import Setup
from spikequant.fpga.budget.timeline import Exchange, frame_bytes, greeting
from spikequant.fpga.sdram.bench import build_bench, run_bench
from spikequant.fpga.sdram.layout import store_layer
from spikequant.fpga.sdram.program import streamed_program
from spikequant.fpga.sdram.timing import SdramTiming
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors

CLOCK_HZ, DIVISOR = 60e6, 60
"""1 Mbaud at the clock of the boards' bitstreams."""

CLOSE = 0.03


def layer(spec: Spec, *, outputs: int = 18, inputs: int = 40, tokens: int = 1, wide: int = 5) -> LayerVectors:
    return random_vectors(
        spec, outputs=outputs, inputs=inputs, tokens=tokens, wide=wide, max_shift=3, extremes=False, seed=3
    )


@pytest.mark.parametrize(("memory", "brief"), [(False, True), (True, True), (True, False)])
def test_the_virtual_board_takes_what_is_calculated(
    memory: bool, brief: bool, small: Spec, timing: SdramTiming, build_cache: Path
) -> None:
    setup = Setup(small, CLOCK_HZ, DIVISOR, timing if memory else None, brief)
    vectors = layer(small)
    stored = store_layer(small, vectors, chip=timing.chip) if memory else None
    cost = exchange_cost(setup, vectors, stored=stored)
    # the board's clock runs on while a busy machine keeps the host waiting
    counted = min((count_exchange(setup, vectors, cache=build_cache) for _ in range(3)), key=lambda one: one.cycles)
    np.testing.assert_array_equal(counted.run.output.code, run_layer(vectors, small).code)
    # the counters are read once more
    expected = Exchange(cost.cycles, cost.line.sent, cost.line.received).then(greeting(setup.byte_cycles))
    assert counted.cycles == pytest.approx(expected.cycles, rel=CLOSE)
    assert counted.sent == pytest.approx(expected.sent, rel=CLOSE)
    # whether a frame is answered alone or together with the next one is a matter of cycles
    assert counted.received == pytest.approx(expected.received, rel=CLOSE, abs=2 * frame_bytes(0))


@pytest.mark.parametrize("tokens", [1, 3])
def test_memory_and_array_take_what_is_calculated(tokens: int, timing: SdramTiming, build_cache: Path) -> None:
    spec = Spec(neurons=32, lanes=4, depth=512)
    vectors = layer(spec, outputs=160, inputs=400, tokens=tokens, wide=24)
    stored = store_layer(spec, vectors, chip=timing.chip)
    program = streamed_program(stored, vectors, brief=True)
    bench = build_bench(timing, spec, cache=build_cache)
    for clock_hz in (60e6, 75e6):
        cost = exchange_cost(Setup(spec, clock_hz, DIVISOR, timing), vectors, stored=stored)
        run = run_bench(
            bench, stored.packets(), program.packets, results=len(program.places), clock_hz=clock_hz, timing=timing
        )
        # a word is two columns of the chip
        assert 2 * cost.memory_words == run.columns
        assert run.memory_cycles == pytest.approx(cost.board_cycles * timing.clock_hz / clock_hz, rel=CLOSE)
