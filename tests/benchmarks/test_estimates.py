"""What estimates go by, fitted to made-up designs."""

import pytest

from spikequant.benchmarks.estimates import error_lines, estimate_errors, make_measured
from spikequant.benchmarks.packing import Packed
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.sites import average_sites
from spikequant.fpga.boards import Resources
from spikequant.fpga.estimate.estimate import estimate, estimate_ebrs
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors


def packed(spec: Spec) -> Packed:
    luts = {"array": 300 + 40 * spec.neurons, "encoder": 800}
    ffs = {"array": 500 + 80 * spec.neurons, "encoder": 900}
    used = Resources(luts=sum(luts.values()), ffs=sum(ffs.values()), ebrs=estimate_ebrs(spec), dsps=0)
    return Packed(used=used, luts=luts, ffs=ffs)


def test_estimates_tell_how_far_they_are_off(benchmark: Benchmark, layers: dict[str, LayerVectors]) -> None:
    specs = {one.candidate.shape: one.candidate.spec for one, _ in benchmark.accelerators("LFE5U-25F")}
    cycles = {shape: benchmark.work[shape][ALL].cycles_per_token("spiking") for shape in specs}
    designs = {shape: (spec, packed(spec)) for shape, spec in specs.items()}
    sites = average_sites(layers, Spec())
    measured = make_measured(designs, cycles=cycles, sites=sites, model="a small model", tools={"yosys": "1"})
    assert measured.errors["luts"] == pytest.approx(0, abs=0.001)
    assert measured.errors["ebrs"] == 0
    assert 0 < measured.errors["cycles"] < 0.1
    assert measured.largest == 256
    assert measured.source.startswith("6 packed accelerators (8x4, 16x4, ")
    found = estimate(specs["32x4"], measured)
    assert found.luts == pytest.approx(designs["32x4"][1].used.luts, abs=2)
    odd = designs | {"64x4": (specs["64x4"], packed(Spec(neurons=128)))}
    worse = make_measured(odd, cycles=cycles, sites=sites, model="a small model", tools={"yosys": "1"})
    assert worse.errors["luts"] > 0.2
    assert worse.errors["ebrs"] > 0

    errors = estimate_errors(benchmark, measured)
    assert list(errors) == [one.candidate.shape for one in benchmark.routed() if one.candidate.array == "spiking"]
    used = benchmark.routed()[0].used
    assert used is not None
    assert errors["8x4"]["luts"] == estimate(specs["8x4"], measured).luts / used.luts - 1
    assert error_lines(errors)[0].startswith("8x4: spikequant estimate is off by luts -")
