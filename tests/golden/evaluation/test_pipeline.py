"""From a float model to a folder, in one go or in several."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import spikequant.golden.distillation.distill
import spikequant.golden.evaluation.pipeline
import spikequant.golden.quantizer.spikequant
from spikequant.golden.checkpoint.checkpoint import load_checkpoint
from spikequant.golden.checkpoint.description import DESCRIPTION, TENSORS
from spikequant.golden.evaluation.methods import Calibration
from spikequant.golden.evaluation.pipeline import PARTIAL, Outcome, check_storable, quantize_to_folder, training_windows
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import RECIPES, Activations, Distillation, Recipe
from spikequant.golden.support.errors import InputError

CONTEXT = 24

PLAIN = Recipe.model_validate({"equalize": [], "weights": {"wide_fraction": 0.1}})
TRAINED = PLAIN.model_copy(
    update={
        "activations": Activations(salient_rule="outside"),
        "distillation": Distillation(steps=6, batch=2, context=CONTEXT, windows=9, generated=3),
    }
)

BOTH = pytest.mark.parametrize("recipe", [PLAIN, TRAINED], ids=["plain", "trained"])


class KilledError(Exception):
    """Stands for whatever ends a run."""


@pytest.fixture
def calibration(tmp_path: Path, prose: str) -> Calibration:
    path = tmp_path / "prose.txt"
    path.write_text(prose)
    return Calibration(path, tokens=200, context=64)


def run(float_model: LanguageModel, recipe: Recipe, calibration: Calibration, out: Path) -> Outcome:
    """Quantize a copy, as a new process would start from the float model."""
    return quantize_to_folder(copy.deepcopy(float_model), recipe, calibration, out)


def same(out: Path, other: Path) -> bool:
    """Whether two folders hold bit for bit the same checkpoint."""
    return all((out / name).read_bytes() == (other / name).read_bytes() for name in (TENSORS, DESCRIPTION))


@BOTH
def test_the_folder_holds_the_model_that_was_quantized(
    float_model: LanguageModel, calibration: Calibration, tmp_path: Path, recipe: Recipe
) -> None:
    out = tmp_path / "new" / "out"
    outcome = quantize_to_folder(float_model, recipe, calibration, out)
    window = torch.arange(1, 29)[None]
    checkpoint = load_checkpoint(out)
    loaded = checkpoint.language_model.model
    with torch.no_grad():
        assert loaded(window).logits.equal(float_model.model(window).logits)
    assert len(quantized_layers(float_model.model)) == 14
    assert outcome.calibration == checkpoint.description.calibration
    assert "200 tokens of prose.txt" in outcome.calibration
    assert checkpoint.description.recipe == recipe
    assert checkpoint.description.training == outcome.learned
    assert (outcome.training is not None) == (recipe is TRAINED) == bool(outcome.learned)
    if outcome.training:
        assert outcome.learned == f"{outcome.training}, 3 of their windows written by the float model"
        assert (outcome.training.steps, outcome.training.tokens) == (6, 6 * 2 * CONTEXT)
    assert not (out / PARTIAL).exists()
    assert not [path.name for path in out.iterdir() if path.name.startswith((".", "tmp"))]


def kill_at_layer(patch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Let the run die at a layer of this number; the list holds how many layers got their codes."""
    quantize_weight = spikequant.golden.quantizer.spikequant.quantize_weight
    done: list[int] = []

    def deadly(*arguments: Any, **named: Any) -> Any:
        if len(done) == number:
            raise KilledError
        done.append(len(done))
        return quantize_weight(*arguments, **named)

    patch.setattr(spikequant.golden.quantizer.spikequant, "quantize_weight", deadly)
    return done


def test_a_killed_quantization_goes_on(
    float_model: LanguageModel, calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(float_model, PLAIN, calibration, tmp_path / "whole")
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        kill_at_layer(patch, 10)
        with pytest.raises(KilledError):
            run(float_model, PLAIN, calibration, out)
    assert (out / PARTIAL).is_dir()
    assert not (out / DESCRIPTION).exists()
    with monkeypatch.context() as patch:
        done = kill_at_layer(patch, 1000)
        run(float_model, PLAIN, calibration, out)
    # the second block alone
    assert len(done) == 7
    assert same(out, tmp_path / "whole")
    assert not (out / PARTIAL).exists()


def test_what_was_kept_for_another_recipe_text_or_model_is_not_used(
    float_model: LanguageModel, calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    other_recipe = PLAIN.model_copy(update={"correct_bias": True})
    other_text = Calibration(calibration.path, tokens=199, context=64)
    other_model = copy.deepcopy(float_model)
    other_model.model.get_input_embeddings().weight.data[3, 3] += 1e-3
    for model, recipe, text in (
        (float_model, other_recipe, calibration),
        (float_model, PLAIN, other_text),
        (other_model, PLAIN, calibration),
    ):
        with monkeypatch.context() as patch:
            kill_at_layer(patch, 10)
            with pytest.raises(KilledError):
                run(model, recipe, text, out)
        with monkeypatch.context() as patch:
            done = kill_at_layer(patch, 10)
            with pytest.raises(KilledError):
                run(float_model, PLAIN, calibration, out)
        # none of the first block's layers was taken over
        assert len(done) == 10
        (out / PARTIAL / "block-000.safetensors").unlink()


@pytest.mark.parametrize("where", ["learning_rate", "freeze"])
def test_a_killed_training_goes_on(
    float_model: LanguageModel,
    calibration: Calibration,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    whole = run(float_model, TRAINED, calibration, tmp_path / "whole")
    out = tmp_path / "out"
    learning_rate = spikequant.golden.distillation.distill.learning_rate
    steps: list[int] = []

    def noted(step: int, settings: Distillation) -> float:
        steps.append(step)
        if where == "learning_rate" and len(steps) == 4:
            raise KilledError
        return learning_rate(step, settings)

    def deadly(*_arguments: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(spikequant.golden.distillation.distill, "KEEP_SECONDS", -1.0)
        patch.setattr(spikequant.golden.distillation.distill, "learning_rate", noted)
        if where == "freeze":
            patch.setattr(spikequant.golden.evaluation.pipeline, "freeze", deadly)
        with pytest.raises(KilledError):
            run(float_model, TRAINED, calibration, out)
        assert (out / PARTIAL).is_dir()
        assert not (out / DESCRIPTION).exists()
        killed_at = len(steps)
        patch.setattr(spikequant.golden.evaluation.pipeline, "freeze", spikequant.golden.distillation.distill.freeze)
        found = run(float_model, TRAINED, calibration, out)
    assert steps[killed_at:] == ([3, 4, 5] if where == "learning_rate" else [])
    assert found.training is not None
    assert whole.training is not None
    assert found.training.divergence == whole.training.divergence
    assert same(out, tmp_path / "whole")
    assert not (out / PARTIAL).exists()


def test_a_second_run_takes_the_place_of_the_first_and_of_nothing_else(
    float_model: LanguageModel, calibration: Calibration, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(float_model, PLAIN, calibration, out)
    (out / "mine.txt").write_text("kept")
    run(float_model, TRAINED, calibration, out)
    assert load_checkpoint(out).description.recipe == TRAINED
    assert (out / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("research")])
def test_a_research_recipe_is_refused_before_anything_is_done(
    float_model: LanguageModel, calibration: Calibration, tmp_path: Path, name: str
) -> None:
    message = "^recipe: needs .*, expected one that the datapath runs; eval takes research recipes$"
    with pytest.raises(InputError, match=message):
        check_storable(RECIPES[name])
    with pytest.raises(InputError, match=message):
        quantize_to_folder(float_model, RECIPES[name], calibration, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert quantized_layers(float_model.model) == {}


def test_training_windows_are_whole_and_no_more_than_wanted(
    float_model: LanguageModel, calibration: Calibration, prose: str
) -> None:
    windows = training_windows(float_model, TRAINED, calibration)
    assert len(windows) == 9
    assert {window.numel() for window in windows} == {CONTEXT}
    every = TRAINED.model_copy(update={"distillation": Distillation(context=CONTEXT, windows=10**6)})
    assert len(training_windows(float_model, every, calibration)) == len(prose) // CONTEXT


def test_text_too_short_to_train_on_is_refused_in_one_line(
    float_model: LanguageModel, calibration: Calibration, tmp_path: Path
) -> None:
    # windows are no longer than the model's positions
    float_model.model.config.max_position_embeddings = 200_000
    long = TRAINED.model_copy(update={"distillation": Distillation(steps=2, context=100_000)})
    with pytest.raises(InputError, match="calibration text: 0 windows of 100000, expected at least 2 to train on"):
        quantize_to_folder(float_model, long, calibration, tmp_path / "out")
