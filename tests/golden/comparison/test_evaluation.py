import copy
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch

from spikequant.golden.comparison.candidates import Built, Candidate
from spikequant.golden.comparison.evaluation import Evaluation
from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.rows import Row, unfinished_rows
from spikequant.golden.comparison.widths import measure_widths
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.store import ResultFolder


@pytest.fixture
def texts(windows: list[torch.Tensor]) -> list[EvaluationText]:
    parts = {"first": windows[:2], "second": windows[2:]}
    return [
        EvaluationText(name, TextWindows(part, sum(w.numel() - 1 for w in part), 1, f"{name} text"))
        for name, part in parts.items()
    ]


class Builder:
    """Hands out a model and counts how often."""

    def __init__(self, language_model: LanguageModel) -> None:
        self.model = language_model.model
        self.calls = 0

    def __call__(self) -> Built:
        self.calls += 1
        return Built(copy.deepcopy(self.model), "as it is", Recipe())


@pytest.fixture
def run(
    float_model: LanguageModel, quantized_model: LanguageModel, texts: list[EvaluationText]
) -> Callable[..., tuple[list[Row], list[int]]]:
    """Compares the two; returns the rows, and how often each was built."""

    def run(
        kept: ResultFolder[Row], *, basis: str = "", digest: str = "q", rows: int = 4
    ) -> tuple[list[Row], list[int]]:
        builders = [Builder(float_model), Builder(quantized_model)]
        candidates = [
            Candidate("float", "fp", "f", builders[0], None),
            Candidate("ours", "spikequant", digest, builders[1], 4),
        ]
        found = Evaluation("tiny", candidates, texts, {}, float_model.model, basis).rows(kept)
        return list(islice(found, rows)), [builder.calls for builder in builders]

    return run


def test_a_row_for_each_model_and_text(
    run: Callable[..., tuple[list[Row], list[int]]],
    float_model: LanguageModel,
    quantized_model: LanguageModel,
    texts: list[EvaluationText],
) -> None:
    rows, built = run(unfinished_rows(None))
    assert [(row.label, row.text) for row in rows] == [
        ("float", "first"),
        ("float", "second"),
        ("ours", "first"),
        ("ours", "second"),
    ]
    assert built == [1, 1]
    alone = measure_accuracy(quantized_model.model, texts[1].read.windows, float_model.model)
    assert rows[3].perplexity == alone.perplexity
    assert rows[3].ratio == alone.ratio
    assert rows[0].ratio == 1
    assert rows[3].protocol == "tiny; second text; ours, as it is"
    assert rows[3].weight_bits == measure_widths(quantized_model.model, "", Recipe(), salient_ratio=0).weight_bits


def test_an_interrupted_run_resumes(run: Callable[..., tuple[list[Row], list[int]]], tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    first, _ = run(unfinished_rows(result), rows=3)
    again, built = run(unfinished_rows(result))
    assert again[:3] == first
    assert built == [0, 1]
    everything, built = run(unfinished_rows(result))
    assert everything == again
    assert built == [0, 0]


@pytest.mark.parametrize("changed", [{"basis": "another model"}, {"digest": "another recipe"}])
def test_rows_of_something_else_are_not_taken(
    run: Callable[..., tuple[list[Row], list[int]]], tmp_path: Path, changed: dict[str, str]
) -> None:
    run(unfinished_rows(tmp_path / "result.json"))
    _, built = run(unfinished_rows(tmp_path / "result.json"), **changed)
    assert built[1] == 1


def test_rows_of_another_release_are_not_taken(run: Callable[..., tuple[list[Row], list[int]]], tmp_path: Path) -> None:
    run(unfinished_rows(tmp_path / "result.json"))
    for path in (tmp_path / "result.json.partial").iterdir():
        digest, _, _ = path.read_text().partition("\n")
        path.write_text(f'{digest}\n{{"perplexity": 1.0}}')
    _, built = run(unfinished_rows(tmp_path / "result.json"))
    assert built == [1, 1]
