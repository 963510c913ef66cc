"""The C++ program plays the same words and takes the same cycles."""

from pathlib import Path

import pytest

from spikequant.benchmarks.cosim_speed import build_program, measure, play_program
from spikequant.cosim.simulator.build import SimulationError
from spikequant.cosim.simulator.burst import burst_bytes
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.program import layer_program


def test_same_words_in_as_many_cycles(device: SimulatedDevice, cache: Path, small: Spec) -> None:
    vectors = random_vectors(small, outputs=19, inputs=40, tokens=5, seed=1)
    program = layer_program(small, vectors)
    speeds = measure(small, vectors, rounds=2, cache=cache)
    assert speeds.equal
    assert (len(speeds.cocotb), len(speeds.cpp)) == (2, 2)
    assert speeds.ratio > 0
    ours = device.play(program.packets, len(program.places))
    theirs = play_program(build_program(small, cache=cache), burst_bytes(program.packets), len(program.places))
    assert speeds.cycles == ours.cycles
    # the bench sees the last word a cycle after it has come, and offers the first one later behind the reset
    assert abs(ours.cycles - theirs.cycles) <= 4
    with pytest.raises(SimulationError, match="failed with status 1"):
        play_program(build_program(small, cache=cache), burst_bytes(program.packets), len(program.places) + 1)
