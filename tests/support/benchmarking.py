"""A small traced model, a benchmark without a build, and the smallest array."""

from pathlib import Path

import numpy as np
import pytest

from spikequant.benchmarks.results import Benchmark
from spikequant.benchmarks.routing import Routing
from spikequant.benchmarks.run import count_work
from spikequant.benchmarks.shapes import Array, Candidate
from spikequant.benchmarks.toggles import Toggles
from spikequant.benchmarks.traces import FILE, TILE_FILE, trace_folder, write_traces
from spikequant.fpga.boards import Resources
from spikequant.fpga.build.report import SlowestPath
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors, save_vectors

SPECS = {f"{neurons}x4": Spec(neurons=neurons) for neurons in (8, 16, 24, 32, 48, 64)}


@pytest.fixture(scope="session")
def layers() -> dict[str, LayerVectors]:
    """Two blocks of two layers each."""
    sizes = {"q_proj": (320, 64), "down_proj": (256, 48)}
    return {
        f"model.layers.{block}.{name}": random_vectors(
            Spec(), outputs=outputs, inputs=inputs, tokens=6, wide=16 * block, max_shift=3, extremes=False, seed=block
        )
        for block in range(2)
        for name, (inputs, outputs) in sizes.items()
    }


@pytest.fixture(scope="session")
def smallest() -> Spec:
    """The array that takes least of a device."""
    return Spec(
        neurons=8,
        lanes=1,
        depth=4,
        weight_bits=8,
        activation_bits=2,
        salient_bits=0,
        max_salient_shift=0,
        membrane_bits=12,
        membrane_slots=1,
        theta_fraction_bits=0,
        output_bits=2,
        readout="ramp",
        score_words=16,
    )


@pytest.fixture
def traced_cache(layers: dict[str, LayerVectors], tmp_path: Path) -> Path:
    """A cache in which the bundled model is the small one, traced with 6 tokens."""
    cache = tmp_path / "cache"
    folder = trace_folder(None, tokens=6, cache=cache)
    folder.mkdir(parents=True)
    write_traces(folder / FILE, layers)
    save_vectors(folder / TILE_FILE, next(iter(layers.values())))
    return cache


def routing(array: Array, shape: str, *, luts: int, fmax: tuple[float, ...], ebrs: int = 20) -> Routing:
    used = Resources(luts=luts, ffs=2 * luts, ebrs=ebrs, dsps=0 if array == "spiking" else 2)
    seeds = tuple(range(1, len(fmax) + 1))
    packing = luts // 10
    return Routing(
        Candidate(array, shape, SPECS[shape]),
        "LFE5U-25F",
        seeds,
        used=used,
        components={"array": luts - 1000 - packing, "encoder": 1000, "packing": packing},
        fmax_mhz=fmax,
        slowest=tuple(SlowestPath("encoder", "array", delay_ns=1e3 / mhz, wires_ns=3.0, tables=2) for mhz in fmax),
    )


def toggles(array: Array, *, registers: int, logic: int) -> Toggles:
    return Toggles(
        array=array,
        shape="16x4",
        operations=1000,
        cycles=200,
        nets=5000,
        kinds={"registers": registers, "logic": logic},
        components={"array": registers, "reader": logic},
    )


@pytest.fixture(scope="session")
def benchmark(layers: dict[str, LayerVectors]) -> Benchmark:
    """Six shapes, one of them larger and slower than it need be, and one twin; one is skipped."""
    rng = np.random.default_rng(1)
    routings = [
        routing(
            "spiking",
            shape,
            luts=round((1500 + 30 * spec.neurons + 400 + 32 * spec.neurons) * (1 + 0.01 * rng.standard_normal())),
            fmax=(200.0, 180.0, 190.0),
        )
        for shape, spec in SPECS.items()
        if shape != "24x4"
    ]
    routings.append(routing("spiking", "24x4", luts=9000, fmax=(100.0,), ebrs=90))
    routings.append(routing("mac", "16x4", luts=5000, fmax=(150.0, 170.0, 140.0)))
    routings.append(
        Routing(
            Candidate("mac", "64x4", SPECS["64x4"]),
            "LFE5U-25F",
            (1,),
            used=None,
            components={},
            fmax_mhz=(),
            skipped="too large",
        )
    )
    work = {shape: count_work(spec, layers) for shape, spec in SPECS.items()}
    return Benchmark(
        routings=routings,
        work=work,
        model="a small model",
        tools={"yosys": "1"},
        toggles=[(toggles("spiking", registers=3000, logic=1000), toggles("mac", registers=5000, logic=3000))],
    )
