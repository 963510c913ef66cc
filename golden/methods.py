"""The methods that an evaluation compares, by name."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from golden.baselines import round_to_nearest
from golden.calibrate import Observations, Recipe, observe, quantize_model
from golden.errors import InputError
from golden.model import LanguageModel
from golden.text import calibration_corpus
from golden.windows import token_windows

METHODS = ("fp", "rtn", "spikequant")
"""The float model, round-to-nearest W4A4, and SpikeQuant."""

CALIBRATION_CONTEXT = 512


@dataclass(frozen=True)
class Calibration:
    """Which text a model is calibrated on.

    Attributes:
        path: text file, or None for the bundled articles.
        tokens: how many tokens of it.
    """

    path: Path | None = None
    tokens: int = 8192

    def observe(self, language_model: LanguageModel) -> tuple[Observations, str]:
        """Statistics of a float model on the text, and one line about the text.

        Raises:
            InputError: the text cannot be read or is too short.
        """
        corpus = calibration_corpus(self.path)
        tokenizer: PreTrainedTokenizerBase = language_model.tokenizer
        windows = token_windows(tokenizer, corpus.texts, tokens=self.tokens, context=CALIBRATION_CONTEXT)
        seen = sum(window.numel() for window in windows)
        return observe(language_model.model, windows), f"{seen} tokens of {corpus.name}"


def check_method(method: str) -> None:
    """Refuse a method that does not exist.

    Raises:
        InputError: it is none of ``METHODS``.
    """
    if method not in METHODS:
        raise InputError(f"method {method!r}: unknown, expected one of {', '.join(METHODS)}")


def apply_method(language_model: LanguageModel, method: str, recipe: Recipe, calibration: Calibration) -> str:
    """Quantize a float model in place.

    Returns:
        One line about how it was done.

    Raises:
        InputError: an unknown method, or unusable calibration text.
    """
    check_method(method)
    if method == "fp":
        return "no quantization"
    if method == "rtn":
        round_to_nearest(language_model.model)
        return "W4 per output channel and A4 per token, asymmetric, rounded to nearest, no calibration"
    observations, text = calibration.observe(language_model)
    quantize_model(language_model.model, observations, recipe)
    return f"calibrated on {text}"
