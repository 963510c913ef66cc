"""Quantization methods by name, and the text they are calibrated on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from spikequant.golden.baselines.atom import atom
from spikequant.golden.baselines.quarot import quarot
from spikequant.golden.baselines.rtn import rtn
from spikequant.golden.baselines.smoothquant import smoothquant
from spikequant.golden.baselines.spikellm import spikellm
from spikequant.golden.compensation.compensate import compensation
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import add_prefix, choose_prefix, fit_window
from spikequant.golden.models.reading import model_windows
from spikequant.golden.models.text import calibration_corpus
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.quantizer.calibrate import Keeper, quantize_model
from spikequant.golden.quantizer.method import Method
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError

FLOAT = "fp"
"""The float model."""

_BASELINES: MappingProxyType[str, Callable[[int, int], Method]] = MappingProxyType(
    {"rtn": rtn, "smoothquant": smoothquant, "atom": atom, "spikellm": spikellm, "quarot": quarot}
)
"""Methods from the bits of their weights and activations."""

SPIKEQUANT = "spikequant"

METHODS = (FLOAT, *_BASELINES, SPIKEQUANT)

PREFIX_WINDOWS = 4
"""Windows on which a prefix is chosen."""


@dataclass(frozen=True)
class Calibration:
    """Calibration text.

    Attributes:
        path: text file, or None for the bundled articles.
        tokens: number of tokens to take.
        context: tokens in a window.
    """

    path: Path | None = None
    tokens: int = 8192
    context: int = 512

    def windows(self, language_model: LanguageModel) -> TextWindows:
        """The text in windows, which are shorter than asked for if the model has fewer positions.

        Raises:
            InputError: the text cannot be read, is too short, or has a token without an embedding.
        """
        context = fit_window(language_model.model, self.context)
        read = model_windows(language_model, calibration_corpus(self.path), tokens=self.tokens, context=context)
        if context == self.context:
            return read
        return replace(read, protocol=f"{read.protocol}, cut from {self.context} to the model's positions")


def find_method(name: str, recipe: Recipe) -> Method | None:
    """The method of this name; None for the float model.

    Args:
        name: one of ``METHODS``.
        recipe: of SpikeQuant; other methods take their bits of weights and activations from it.

    Raises:
        InputError: unknown name.
    """
    if name not in METHODS:
        raise InputError(f"method {name!r}: unknown, expected one of {', '.join(METHODS)}")
    if name == FLOAT:
        return None
    if name in _BASELINES:
        return _BASELINES[name](recipe.weights.bits, recipe.activations.bits)
    method = spikequant(recipe)
    return replace(method, compensate=compensation(recipe)) if recipe.compensation.enabled else method


def add_recipe_prefix(language_model: LanguageModel, recipe: Recipe, calibration: Calibration) -> None:
    """Give a float model the prefix that a recipe asks for, chosen on calibration text.

    Raises:
        InputError: unusable calibration text.
    """
    if recipe.prefix == "search":
        windows = calibration.windows(language_model).windows[:PREFIX_WINDOWS]
        add_prefix(language_model.model, choose_prefix(language_model.model, language_model.tokenizer, windows))


def apply_method(
    language_model: LanguageModel, method: Method | None, calibration: Calibration, *, keeper: Keeper | None = None
) -> str:
    """Quantize a float model in place.

    Args:
        language_model: a float model.
        method: None leaves the model unchanged.
        calibration: text.
        keeper: stores finished blocks.

    Returns:
        One line on how it was done.

    Raises:
        InputError: unusable calibration text.
    """
    if method is None:
        return "no quantization"
    text = calibration.windows(language_model) if method.calibrated else None
    quantize_model(language_model.model, text.windows if text else [], method, keeper=keeper)
    return f"calibrated on {text.protocol}" if text else "no calibration"
