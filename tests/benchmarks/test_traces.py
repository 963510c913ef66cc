"""Traces in a file."""

from pathlib import Path

from spikequant.benchmarks.traces import FIELDS, read_traces, write_traces
from spikequant.benchmarks.work import layer_work
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors


def test_a_trace_keeps_all_that_counts(layers: dict[str, LayerVectors], tmp_path: Path) -> None:
    path = tmp_path / "traces.npz"
    write_traces(path, layers)
    again = read_traces(path)
    assert list(again) == list(layers)
    for name, vectors in layers.items():
        found = again[name]
        assert (found.outputs, found.inputs, found.tokens) == (vectors.outputs, vectors.inputs, vectors.tokens)
        assert all((getattr(found, field) == getattr(vectors, field)).all() for field in FIELDS)
        assert layer_work(Spec(), name, found) == layer_work(Spec(), name, vectors)
