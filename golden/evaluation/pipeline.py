"""Quantization of a float model into a checkpoint folder, by a recipe; an interrupted run resumes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from spikequant.golden.checkpoint.block_store import BlockStore
from spikequant.golden.checkpoint.checkpoint import save_checkpoint
from spikequant.golden.distillation.distill import (
    Training,
    check_trainable,
    distill,
    freeze,
    make_student,
    make_teacher,
)
from spikequant.golden.distillation.generated_text import generate_windows
from spikequant.golden.evaluation.methods import SPIKEQUANT, Calibration, add_recipe_prefix, find_method
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import fit_window
from spikequant.golden.models.reading import model_starts, model_windows
from spikequant.golden.models.text import calibration_corpus
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.digest import digest_model, digest_versions, digest_windows
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import digest_of

PARTIAL = ".partial"
"""Folder for an unfinished run, in the folder of the checkpoint."""

ALL_TOKENS = 2**24
"""Upper limit for the tokens of training text."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a run.

    Attributes:
        calibration: one line on the calibration text.
        training: progress of the training; None without training.
        learned: one line on the training; empty without training.
    """

    calibration: str
    training: Training | None
    learned: str


def check_storable(recipe: Recipe) -> None:
    """Check that the integer datapath runs a recipe.

    Raises:
        InputError: it does not; the message names the hardware it would need.
    """
    if recipe.extra_hardware:
        raise InputError(
            f"recipe: needs {recipe.extra_hardware[0]}, expected one that the datapath runs; "
            "eval takes research recipes"
        )


def quantize_to_folder(language_model: LanguageModel, recipe: Recipe, calibration: Calibration, out: Path) -> Outcome:
    """Quantize a float model in place and write it.

    Args:
        language_model: a float model.
        recipe: choices of the quantizer.
        calibration: text for statistics, and for training if the recipe trains.
        out: folder to write; it contains a folder with unfinished results until the run is complete.

    Raises:
        InputError: unusable text, or a recipe that the datapath does not run.
    """
    check_storable(recipe)
    model, settings = language_model.model, recipe.distillation
    if settings.steps:
        check_trainable(model, recipe)
    add_recipe_prefix(language_model, recipe, calibration)
    text = calibration.windows(language_model)
    partial = out / PARTIAL
    windows = training_windows(language_model, recipe, calibration) if settings.steps else []
    # at least one update's windows are left to train on
    count = min(settings.held_out, len(windows) - settings.batch) if settings.steps else 0
    windows, held_out = windows[: len(windows) - count], windows[len(windows) - count :]
    starts = model_starts(language_model)
    windows += generate_windows(model, windows, settings.generated, starts=starts, seed=settings.seed, keep=partial)
    digest = _digest(model, recipe, [*text.windows, *windows, *held_out])
    teacher = make_teacher(model) if settings.steps else None
    method = find_method(SPIKEQUANT, recipe)
    assert method
    quantize_model(model, text.windows, method, keeper=BlockStore(partial, digest))
    training, learned = None, ""
    if teacher:
        make_student(model)
        training = distill(teacher, model, windows, settings, held_out=held_out, keep=partial, digest=digest)
        written = f", {settings.generated} of their windows written by the float model" if settings.generated else ""
        learned = f"{training}{written}"
        freeze(model)
    save_checkpoint(out, language_model, recipe, calibration=text.protocol, training=learned)
    shutil.rmtree(partial, ignore_errors=True)
    return Outcome(text.protocol, training, learned)


def training_windows(language_model: LanguageModel, recipe: Recipe, calibration: Calibration) -> list[Tensor]:
    """Full windows of the calibration text to train on, at most ``recipe.distillation.windows``.

    Raises:
        InputError: too few windows for one update.
    """
    settings = recipe.distillation
    corpus = calibration_corpus(calibration.path)
    context = fit_window(language_model.model, settings.context)
    found = model_windows(language_model, corpus, tokens=ALL_TOKENS, context=context).windows
    whole = [window for window in found if window.numel() == context]
    if len(whole) < settings.batch:
        raise InputError(
            f"calibration text: {len(whole)} windows of {context}, expected at least {settings.batch} to train on"
        )
    return whole[: settings.windows]


def _digest(model: PreTrainedModel, recipe: Recipe, windows: list[Tensor]) -> str:
    """Digest of everything that the result depends on."""
    return digest_of([recipe.model_dump_json(), digest_versions(), digest_windows(windows), digest_model(model)])
