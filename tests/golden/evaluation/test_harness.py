"""A tiny model on a task of local files, against likelihoods computed by the test."""

from pathlib import Path

import pytest
import torch

from spikequant.golden.checkpoint.checkpoint import save_checkpoint
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.errors import InputError
from support.zero_shot import DOCUMENTS, with_end_of_text, write_task

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from spikequant.golden.evaluation import harness
from spikequant.golden.evaluation.harness import SpikeQuantLM, score_tasks


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return write_task(tmp_path)


@pytest.fixture
def model(quantized_model: LanguageModel) -> LanguageModel:
    return with_end_of_text(quantized_model)


def likelihoods(model: LanguageModel, question: str, choices: list[str]) -> list[float]:
    """Log likelihood of each choice after the question and a space, token by token."""
    found = []
    context = model.tokenizer(question)["input_ids"]
    for choice in choices:
        ids = torch.tensor(model.tokenizer(f"{question} {choice}")["input_ids"])
        with torch.no_grad():
            logits = model.model(ids[None, :-1], use_cache=False).logits[0].log_softmax(-1)
        places = range(len(context), len(ids))
        found.append(sum(float(logits[place - 1, ids[place]]) for place in places))
    return found


def accuracies(model: LanguageModel, documents: list[dict]) -> tuple[float, float]:
    """Share of documents whose answer has the largest likelihood, and the largest one per byte."""
    right = normalized = 0
    for document in documents:
        found = torch.tensor(likelihoods(model, document["question"], document["choices"]))
        lengths = torch.tensor([len(choice) for choice in document["choices"]])
        right += int(found.argmax()) == document["answer"]
        normalized += int((found / lengths).argmax()) == document["answer"]
    return right / len(documents), normalized / len(documents)


def test_likelihoods_are_those_of_the_model(model: LanguageModel) -> None:
    adapter = SpikeQuantLM(model)
    for document in DOCUMENTS:
        question, choices = document["question"], document["choices"]
        pairs = [adapter._encode_pair(question, f" {choice}") for choice in choices]
        found = adapter._loglikelihood_tokens([(("", ""), *pair) for pair in pairs], disable_tqdm=True)
        expected = likelihoods(model, question, choices)
        assert [value for value, _ in found] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("limit", [None, 3])
def test_accuracy_on_a_task_of_local_files(model: LanguageModel, task: Path, limit: int | None) -> None:
    result = score_tasks(model, [str(task)], limit=limit)
    scores = {score.metric: score for score in result.scores}
    expected = accuracies(model, DOCUMENTS[:limit])
    assert (scores["acc"].value, scores["acc_norm"].value) == pytest.approx(expected)
    assert {score.documents for score in scores.values()} == {limit or len(DOCUMENTS)}
    assert scores["acc"].examples == 0
    assert scores["acc"].task == "spikes"
    assert (result.model, result.limit) == ("tiny", limit)


def test_the_harness_knows_the_model_by_name(model: LanguageModel, task: Path, recipe: Recipe, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model", model, recipe, calibration="prose")
    results = simple_evaluate(
        model="spikequant",
        model_args=f"checkpoint={tmp_path / 'model'}",
        tasks=[str(task)],
        device="cpu",
        task_manager=TaskManager(include_defaults=False),
    )
    found = results["results"]["spikes"]
    assert (found["acc,none"], found["acc_norm,none"]) == pytest.approx(accuracies(model, DOCUMENTS))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no-such-task", r"task no-such-task: unknown, expected one of `lm_eval ls tasks`, or a file \.yaml"),
        ("/no/such/task.yaml", "task /no/such/task.yaml: no such file"),
    ],
)
def test_an_unknown_task_is_one_line(
    model: LanguageModel, name: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without the harness's own tasks, whose files take seconds to read
    monkeypatch.setattr(harness, "TaskManager", lambda **_: TaskManager(include_defaults=False))
    with pytest.raises(InputError, match=problem):
        score_tasks(model, [name])


def test_a_task_without_its_data_is_one_line(model: LanguageModel, task: Path) -> None:
    (task.parent / "spikes.jsonl").unlink()
    with pytest.raises(InputError, match=r"spikes\.yaml: cannot load it: ") as caught:
        score_tasks(model, [str(task)])
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_token_to_start_with_is_one_line(quantized_model: LanguageModel) -> None:
    with pytest.raises(InputError, match="no token to start a text with"):
        SpikeQuantLM(quantized_model)
