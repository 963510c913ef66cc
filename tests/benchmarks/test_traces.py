"""Traces in a file."""

from pathlib import Path

from spikequant.benchmarks.traces import FIELDS, load_traces, read_traces, traced_model, write_traces
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


def test_a_traced_model_has_the_name_that_a_user_loads(traced_cache: Path) -> None:
    traces = load_traces(None, tokens=6, cache=traced_cache)
    assert traced_model(traces, None, tokens=6) == "4 layers of SmolLM2-135M-Instruct, recipe fast, 6 tokens"
