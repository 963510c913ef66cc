"""Random programs on a real simulator, planted bugs that they find, and results that are kept."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from spikequant.cosim.random.programs import HEADERS, random_program, random_spec, reserved_bits
from spikequant.cosim.random.verify import SeedResult, VerifyFigures, expected_results, first_error, run_seeds
from spikequant.cosim.simulator.burst import Traffic
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packet_model import PacketModel
from spikequant.rtl.driver.packets import Words
from spikequant.rtl.shapes import Operation


def played(device: SimulatedDevice, packets: list[Words], traffic: Traffic) -> str:
    expected = expected_results(device.spec, packets)
    return first_error(device.spec, expected, device.play(packets, len(expected), traffic=traffic).packets)


def test_random_programs_with_pauses_and_resets_in_the_middle(device: SimulatedDevice, small: Spec) -> None:
    for number in range(12):
        packets = random_program(small, Random(number), steps=60)
        pause = (0.0, 0.3, 0.9)[number % 3]
        traffic = Traffic(pause_in=pause, pause_out=(0.0, 0.8)[number % 2], seed=number)
        device.play(packets, len(expected_results(small, packets)), traffic=replace(traffic, cut=50 + 97 * number))
        assert played(device, packets, traffic) == ""


def test_pauses_repeat_with_their_seed_and_cost_cycles(device: SimulatedDevice, small: Spec) -> None:
    packets = random_program(small, Random(1), steps=40)
    results = len(expected_results(small, packets))
    calm, first, again, other = (
        device.play(packets, results, traffic=traffic).cycles
        for traffic in (Traffic(), *(Traffic(pause_in=0.5, pause_out=0.5, seed=seed) for seed in (1, 1, 2)))
    )
    assert calm < first == again != other


def test_any_word_that_changes_what_is_computed_is_noticed(device: SimulatedDevice, small: Spec) -> None:
    packets = random_program(small, Random(5), steps=60)
    expected = expected_results(small, packets)
    received = device.play(packets, len(expected)).packets
    assert first_error(small, expected, received) == ""
    assert first_error(small, expected, received[:-1]) == f"{len(expected) - 1} results, expected {len(expected)}"
    for number, (want, packet) in enumerate(zip(expected, received, strict=True)):
        if not want.brief and not want.saturated.any():
            wrong = packet.copy()
            wrong[1] ^= np.uint32(1)
            error = first_error(small, expected, [*received[:number], wrong, *received[number + 1 :]])
            assert error.startswith(f"result {number}, neuron 0: membrane ")
            return
    raise AssertionError("no whole result in the program")


def test_random_programs_keep_the_rules_and_are_all_different() -> None:
    specs, kinds, brief = set(), set(), set()
    for seed in range(25):
        spec = random_spec(Random(seed))
        specs.add(spec)
        packets = random_program(spec, Random(seed), steps=40)
        model = PacketModel(spec)
        for packet in packets:
            kinds.add(int(packet[0]) & 0xF)
            completed = model.take(packet)
            if completed is not None:
                brief.add(completed.brief)
        assert [p.tolist() for p in random_program(spec, Random(seed), steps=40)] == [p.tolist() for p in packets]
    assert len(specs) == 25
    assert kinds == {1, 2, 3, 4}
    assert brief == {False, True}


@pytest.mark.parametrize("operation", list(HEADERS))
def test_reserved_bits_are_the_headers(operation: Operation) -> None:
    masks = {
        Operation.WEIGHTS: (0xFFF0,),
        Operation.NEURONS: (0xFFF0,),
        Operation.CODES: (0xF0C0, 0xFFFF0000),
        Operation.RUN: (0xFF00C000, 0),
    }
    assert reserved_bits(operation) == masks[operation]


def test_only_correct_results_of_the_same_programs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []
    failures = {2}

    def run_seed(seed: int, *, programs: int, steps: int, **_: object) -> SeedResult:
        played.append(seed)
        counts = dict.fromkeys(("packets", "results", "outputs", "resets", "cycles"), seed)
        failure = "program 0: wrong" if seed in failures else ""
        return SeedResult(
            seed=seed, spec=Spec(), design="", steps=steps, programs=programs, seconds=1, failure=failure, **counts
        )

    monkeypatch.setattr("spikequant.cosim.random.verify.run_seed", run_seed)
    monkeypatch.setattr("spikequant.cosim.random.verify.accelerator_sources", lambda _: {"a.v": "module"})

    def run(*, programs: int = 3, steps: int = 9, waves: Path | None = None, minutes: float = 1) -> list[int]:
        played.clear()
        found = run_seeds([1, 2], programs=programs, steps=steps, out=tmp_path, waves=waves, minutes=minutes)
        figures = VerifyFigures.of(found)
        assert figures.ok is not any(seed.failure for seed in found)
        assert figures.cycles == sum(seed.seed for seed in found)
        return list(played)

    assert run() == [1, 2]
    assert run() == [2]
    assert run(waves=tmp_path) == [1, 2]
    assert run(steps=8) == [1, 2]
    assert run(steps=8, programs=2) == [1, 2]
    failures.clear()
    assert run(steps=8, programs=2) == [2]
    assert run(steps=8, programs=2) == []
    assert run(minutes=-1) == []
