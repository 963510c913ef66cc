"""In which order a benchmark builds, and what it keeps."""

from pathlib import Path

from spikequant.benchmarks.run import Request, count_work, kept_work, placements
from spikequant.benchmarks.traces import Traces
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors


def request(**changes: object) -> Request:
    values = {
        "shapes": {name: Spec() for name in ("64x4", "64x8", "8x2")},
        "first": 2,
        "arrays": ["spiking", "mac"],
        "devices": ["LFE5U-85F", "LFE5U-25F"],
        "seeds": range(1, 3),
        "toggles": ["64x4"],
        "jobs": 1,
        "build": True,
        "cache": Path(),
    }
    return Request(**(values | changes))  # type: ignore[arg-type]


def test_telling_shapes_come_first_and_every_array_has_as_many_seeds() -> None:
    order = [(one.candidate.shape, one.seed, one.device, one.candidate.array) for one in placements(request())]
    assert len(order) == len(set(order)) == 3 * 2 * 2 * 2
    assert [shape for shape, *_ in order] == 2 * (4 * ["64x4"] + 4 * ["64x8"]) + 8 * ["8x2"]
    assert [seed for _, seed, *_ in order] == 8 * [1] + 8 * [2] + 4 * [1] + 4 * [2]
    assert order[:3] == [
        ("64x4", 1, "LFE5U-85F", "spiking"),
        ("64x4", 1, "LFE5U-85F", "mac"),
        ("64x4", 1, "LFE5U-25F", "spiking"),
    ]


def test_cycles_are_counted_once(layers: dict[str, LayerVectors], tmp_path: Path) -> None:
    traces = Traces(layers=layers, tile=next(iter(layers.values())), digest="some")
    spec = Spec(neurons=16)
    found = kept_work(spec, traces, cache=tmp_path)
    assert found == count_work(spec, layers)
    assert kept_work(spec, Traces(layers={}, tile=traces.tile, digest="some"), cache=tmp_path) == found
    assert kept_work(Spec(neurons=24), traces, cache=tmp_path) != found
