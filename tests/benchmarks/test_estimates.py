"""What estimates go by, fitted to made-up designs."""

from typing import Any

import pytest

from spikequant.benchmarks.estimates import error_lines, estimate_errors, make_measured
from spikequant.benchmarks.packing import Packed
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.sites import average_sites
from spikequant.fpga.boards import Resources
from spikequant.fpga.estimate.estimate import estimate, estimate_ebrs
from spikequant.fpga.estimate.surroundings import OnBoard, Surroundings
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors


def packed(spec: Spec) -> Packed:
    luts = {"array": 300 + 40 * spec.neurons, "encoder": 800}
    ffs = {"array": 500 + 80 * spec.neurons, "encoder": 900}
    used = Resources(luts=sum(luts.values()), ffs=sum(ffs.values()), ebrs=estimate_ebrs(spec), dsps=0)
    return Packed(used=used, luts=luts, ffs=ffs)


def on_board(design: str, alone: Resources, *, memory: str | None) -> OnBoard:
    counts = {"luts": alone.luts + 1200, "ffs": alone.ffs + 750, "ebrs": alone.ebrs + 2}
    if memory:
        counts = {"luts": alone.luts + 2600, "ffs": alone.ffs + 2050, "ebrs": alone.ebrs + 5}
    return OnBoard(design=design, board="a board", memory=memory, **counts)


def test_estimates_tell_how_far_they_are_off(benchmark: Benchmark, layers: dict[str, LayerVectors]) -> None:
    specs = {one.candidate.shape: one.candidate.spec for one, _ in benchmark.accelerators("LFE5U-25F")}
    cycles = {shape: benchmark.work[shape][ALL].cycles_per_token("spiking") for shape in specs}
    designs = {shape: (spec, packed(spec)) for shape, spec in specs.items()}
    sites = average_sites(layers, Spec())
    boards = [
        on_board(name, designs[name][1].used, memory=memory)
        for name, memory in (("8x4", None), ("32x4", None), ("8x4", "chip"), ("64x4", "chip"))
    ]
    options: dict[str, Any] = {"cycles": cycles, "sites": sites, "model": "a small model", "tools": {"yosys": "1"}}
    measured = make_measured(designs, boards=boards, **options)
    assert measured.errors["luts"] == pytest.approx(0, abs=0.001)
    assert measured.errors["ebrs"] == 0
    assert measured.around["luts"] == Surroundings(line=1200, memory=1400)
    assert measured.around["ebrs"] == Surroundings(line=2, memory=3)
    assert 0 < measured.errors["cycles"] < 0.1
    assert measured.largest == 256
    assert measured.source.startswith("6 packed accelerators (8x4, 16x4, ")
    found = estimate(specs["32x4"], measured)
    assert found.luts == pytest.approx(designs["32x4"][1].used.luts, abs=2)
    odd = designs | {"64x4": (specs["64x4"], packed(Spec(neurons=128)))}
    worse = make_measured(odd, boards=boards[:2], **options)
    assert worse.errors["luts"] > 0.2
    assert worse.errors["ebrs"] > 0
    # an accelerator that takes more on its board than others do
    more = [*boards[:1], boards[1].model_copy(update={"luts": 2 * boards[1].luts, "ebrs": 2 * boards[1].ebrs})]
    worse = make_measured(designs, boards=more, **options)
    assert worse.errors["luts"] > 0.2
    assert worse.errors["ebrs"] > 0
    # cycles may be counted for some designs only
    few = make_measured(designs, boards=boards, **options | {"cycles": {"8x4": cycles["8x4"]}})
    assert few.errors["cycles"] <= measured.errors["cycles"]

    errors = estimate_errors(benchmark, measured)
    assert list(errors) == [one.candidate.shape for one in benchmark.routed() if one.candidate.array == "spiking"]
    used = benchmark.routed()[0].used
    assert used is not None
    assert errors["8x4"]["luts"] == estimate(specs["8x4"], measured).luts / used.luts - 1
    assert error_lines(errors)[0].startswith("8x4: spikequant estimate is off by luts -")
