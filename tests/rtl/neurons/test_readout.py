"""Both read-outs against the formula, and the ramp's latency against its first-spike time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.integer import output_code
from spikequant.golden.layer.neuron import ramp_readout
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.neurons.readout import HalvingReadout, excitation_bits, make_readout

BIAS_LIMIT = 2**31
LARGEST_THETA = 2**32 - 1

Pair = tuple[int, int]
"""A membrane V' and its theta."""


def largest_membranes(spec: Spec) -> tuple[int, int]:
    """The ends of V': a saturated membrane with the extreme bias."""
    end = 2 ** (spec.membrane_bits - 1)
    return -end - BIAS_LIMIT, end - 1 + BIAS_LIMIT - 1


def golden_codes(spec: Spec, pairs: Sequence[Pair]) -> list[int]:
    membrane, theta = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    form = {"theta_fraction_bits": spec.theta_fraction_bits, "output_bits": spec.output_bits}
    return output_code(membrane[None], theta, **form)[0].tolist()


@dataclass
class Run:
    """When membranes went in, and codes came out."""

    sent: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)


@pytest.fixture(scope="session")
def rtl_readout(simulate: Callable[..., None]) -> Callable[..., Run]:
    """Run membranes through the spec's read-out, as fast as it takes them but for pauses, each with two marks."""

    def run(spec: Spec, pairs: Sequence[Pair], *, stall: float = 0.0, seed: int = 0) -> Run:
        readout = make_readout(spec)
        out = Run()
        random = Random(seed)

        async def testbench(ctx: Any) -> None:
            left, cycle = 30, 0
            while left:
                index = len(out.sent)
                if spec.readout == "halving":
                    free = not out.sent or cycle >= out.sent[-1] + 2
                else:
                    free = len(out.results) == index
                sends = index < len(pairs) and free and random.random() >= stall
                ctx.set(readout.i.valid, sends)
                # noise where nothing comes in
                membrane, theta = pairs[index] if sends else (random.randrange(1000), random.randrange(1000))
                marks = {"saturated": index % 3 == 0, "brief": index % 5 == 0}
                ctx.set(readout.i.value, {"membrane": membrane, "theta": theta} | marks)
                if sends:
                    out.sent.append(cycle)
                _, _, valid, result = await ctx.tick().sample(readout.o.valid, readout.o.value)
                if valid:
                    out.received.append(cycle)
                    out.results.append(result)
                cycle += 1
                left = left - 1 if len(out.results) >= len(pairs) else 30

        simulate(readout, testbench, limit=100_000)
        return out

    return run


def edge_pairs(spec: Spec, thetas: Sequence[int]) -> list[Pair]:
    """Membranes at and right beside every point where a code changes, and at both ends."""
    low, high = largest_membranes(spec)
    pairs = []
    for theta in thetas:
        edges = {0, 1, low, high}
        for code in {1, 2, 3, spec.max_output_code - 1, spec.max_output_code, spec.max_output_code + 1}:
            # |V'| * 2**F = (code - 1/2) * theta, rounded down
            edge = ((2 * code - 1) * theta) >> (spec.theta_fraction_bits + 1)
            edges |= {edge - 1, edge, edge + 1}
        pairs += [(sign * edge, theta) for edge in sorted(edges) for sign in (1, -1) if low <= sign * edge <= high]
    return pairs


THETAS = [1, 2, 3, 2**12, 2**13 + 1, 2**31, LARGEST_THETA]

FORMS = [
    Spec(neurons=8, readout="halving", output_bits=2, theta_fraction_bits=0, membrane_bits=8),
    Spec(neurons=8, readout="halving", output_bits=8, theta_fraction_bits=12),
    Spec(neurons=8, readout="halving", output_bits=16, theta_fraction_bits=24, membrane_bits=39),
    Spec(neurons=8, readout="ramp", output_bits=2, theta_fraction_bits=0, membrane_bits=8),
    Spec(neurons=8, readout="ramp", output_bits=5, theta_fraction_bits=24, membrane_bits=39),
]


@pytest.mark.parametrize("spec", FORMS, ids=lambda spec: f"{spec.readout}-{spec.output_bits}")
def test_codes_at_every_edge(rtl_readout: Callable[..., Run], spec: Spec) -> None:
    pairs = edge_pairs(spec, THETAS)
    results = rtl_readout(spec, pairs).results
    assert [result.code for result in results] == golden_codes(spec, pairs)
    assert [result.membrane for result in results] == [membrane for membrane, _ in pairs]


@st.composite
def readouts(draw: st.DrawFn) -> tuple[Spec, list[Pair]]:
    readout = draw(st.sampled_from(["halving", "ramp"]))
    spec = Spec(
        neurons=8,
        readout=readout,
        output_bits=draw(st.integers(2, 5 if readout == "ramp" else 16)),
        theta_fraction_bits=draw(st.integers(0, 24)),
        membrane_bits=draw(st.integers(8, 39)),
    )
    low, high = largest_membranes(spec)
    theta = st.sampled_from([1, LARGEST_THETA]) | st.integers(1, LARGEST_THETA)
    free = st.tuples(st.integers(low, high), theta)

    def tie(place: tuple[int, int, int]) -> Pair:
        steps, drawn, nudge = place
        return max(low, min(high, ((steps * drawn) >> (spec.theta_fraction_bits + 1)) + nudge)), drawn

    ties = st.builds(
        tie, st.tuples(st.integers(-2 * spec.max_output_code, 2 * spec.max_output_code), theta, st.integers(-1, 1))
    )
    return spec, draw(st.lists(free | ties, min_size=20, max_size=60))


@settings(max_examples=25)
@given(case=readouts(), stall=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 999))
def test_codes_of_random_membranes(
    rtl_readout: Callable[..., Run], case: tuple[Spec, list[Pair]], stall: float, seed: int
) -> None:
    spec, pairs = case
    results = rtl_readout(spec, pairs, stall=stall, seed=seed).results
    assert [result.code for result in results] == golden_codes(spec, pairs)
    for index, (result, (membrane, _)) in enumerate(zip(results, pairs, strict=True)):
        assert (result.membrane, result.saturated, result.brief) == (membrane, index % 3 == 0, index % 5 == 0)


@pytest.mark.parametrize("output_bits", [2, 3, 7, 16])
def test_halving_takes_a_membrane_every_second_cycle(rtl_readout: Callable[..., Run], output_bits: int) -> None:
    spec = Spec(neurons=8, output_bits=output_bits)
    run = rtl_readout(spec, [(100 * index, 4096) for index in range(20)])
    assert run.sent == list(range(0, 40, 2))
    assert {out - into for into, out in zip(run.sent, run.received, strict=True)} == {HalvingReadout.latency(spec)}


def test_ramp_latency_is_the_first_spike_time(rtl_readout: Callable[..., Run]) -> None:
    spec = Spec(neurons=8, readout="ramp", output_bits=5, theta_fraction_bits=4)
    pairs = [(membrane, 1600) for membrane in range(-2000, 2001, 50)]
    run = rtl_readout(spec, pairs)
    membrane, theta = (np.array(column) for column in zip(*pairs, strict=True))
    golden = ramp_readout(membrane, theta.astype(np.uint32), theta_fraction_bits=4, output_bits=5)
    assert [result.code for result in run.results] == golden.code.tolist()
    took = np.array(run.received) - np.array(run.sent)
    assert set(took - golden.tick) == {3}
    assert {0, 15} <= set(golden.tick)


@pytest.mark.parametrize("spec", FORMS, ids=lambda spec: f"{spec.readout}-{spec.output_bits}")
def test_the_excitation_fits_its_width(spec: Spec) -> None:
    membrane = -largest_membranes(spec)[0]
    assert (membrane << spec.theta_fraction_bits) + LARGEST_THETA // 2 < 2 ** excitation_bits(spec)
    assert LARGEST_THETA * spec.max_output_code < 2 ** excitation_bits(spec)
