"""A simulator that lives on: layer after layer, and what happens when it hangs or dies."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

import spikequant.cosim.simulator.device
from spikequant.cosim.simulator.build import SimulationError
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.simulator.runner import StallingDevice
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.device import run_on_device
from spikequant.rtl.driver.packets import PacketError
from spikequant.rtl.driver.program import layer_program


def test_layer_after_layer(device: SimulatedDevice, small: Spec) -> None:
    for seed, (outputs, inputs, tokens, wide) in enumerate([(8, 16, 4, 0), (11, 40, 9, 17), (1, 1, 1, 0)]):
        vectors = random_vectors(small, outputs=outputs, inputs=inputs, tokens=tokens, wide=wide, seed=seed)
        golden = run_layer(vectors, small)
        run = run_on_device(device, vectors)
        assert not run.output.saturated.any()
        assert run.output.membrane.tolist() == golden.membrane.tolist()
        assert run.output.code.tolist() == golden.code.tolist()
        assert 0 < run.beats < run.cycles


def test_each_run_starts_afresh_and_counts_the_same(device: SimulatedDevice, small: Spec) -> None:
    vectors = random_vectors(small, outputs=9, inputs=20, tokens=5, seed=3)
    first, again = run_on_device(device, vectors), run_on_device(device, vectors)
    assert (first.cycles, first.spikes, first.beats) == (again.cycles, again.spikes, again.beats)
    assert first.cycles > sum(len(packet) for packet in layer_program(small, vectors).packets)


def test_as_the_bench_that_drives_every_word(
    device: SimulatedDevice, small: Spec, sources: dict[str, str], cache: Path
) -> None:
    vectors = random_vectors(small, outputs=9, inputs=20, tokens=5, seed=4)
    program = layer_program(small, vectors)
    stalling = StallingDevice(small, stall_probability=0.3, seed=1, sources=sources, cache=cache)
    slow = stalling.play(program.packets, len(program.places))
    fast = device.play(program.packets, len(program.places))
    # the totals at the end of a packet depend on the time at which they are taken
    assert [p[:-2].tolist() for p in fast.packets] == [p[:-2].tolist() for p in slow.packets]
    assert fast.cycles < slow.cycles


def test_progress_ends_at_all_results(device: SimulatedDevice, small: Spec) -> None:
    told: list[tuple[int, int]] = []
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=6, seed=5)
    run_on_device(device, vectors, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)


def test_a_refused_packet_shows_in_its_own_run_only(device: SimulatedDevice, small: Spec) -> None:
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=2, seed=6)
    program = layer_program(small, vectors)

    class Spoiled:
        spec = small

        def play(self, packets, results, *, progress):
            return device.play([np.array([15, 1, 2], np.uint32), *packets], results, progress=progress)

    with pytest.raises(PacketError, match="the accelerator refused a packet"):
        run_on_device(Spoiled(), vectors)
    assert len(device.play(program.packets, 2).packets) == 2


def test_a_hang_is_told_and_the_device_goes_on(
    device: SimulatedDevice, small: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spikequant.cosim.simulator.device, "IDLE_CYCLES", 5000)
    program = layer_program(small, random_vectors(small, outputs=8, inputs=16, tokens=3, seed=7))
    with pytest.raises(SimulationError, match=r"the accelerator hangs: 3 results after \d+ cycles, expected 4"):
        device.play(program.packets, 4)
    assert len(device.play(program.packets, 3).packets) == 3


def test_a_simulator_that_is_killed_is_told_with_its_log_and_none_is_left(
    cache: Path, small: Spec, sources: dict[str, str], logs: Path
) -> None:
    program = layer_program(small, random_vectors(small, outputs=8, inputs=16, tokens=3, seed=8))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with SimulatedDevice(small, sources=sources, cache=cache) as mine:
        started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        simulators = [child for child in started if child.name() == "burst"]
        os.kill(simulators[0].pid, signal.SIGKILL)
        with pytest.raises(SimulationError, match="the simulation failed, see ") as caught:
            mine.play(program.packets, 3)
    assert Path(str(caught.value).rpartition("see ")[2]).parent == logs
    assert not [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert [path.suffix for path in logs.iterdir()] == [".log"]


def test_a_simulator_that_does_not_start_is_told(
    cache: Path, small: Spec, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spikequant.cosim.simulator.device, "BURST_TOP", "nothing")
    with pytest.raises(SimulationError, match="the simulation failed, see "):
        SimulatedDevice(small, cache=cache)
    assert list(logs.iterdir())
