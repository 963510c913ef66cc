"""The methods that an evaluation compares, by name, and the text they are calibrated on."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from spikequant.golden.baselines.atom import atom
from spikequant.golden.baselines.quarot import quarot
from spikequant.golden.baselines.rtn import rtn
from spikequant.golden.baselines.smoothquant import smoothquant
from spikequant.golden.baselines.spikellm import spikellm
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.text import calibration_corpus
from spikequant.golden.models.windows import TextWindows, corpus_windows
from spikequant.golden.quantizer.calibrate import Keeper, quantize_model
from spikequant.golden.quantizer.method import Method
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError

FLOAT = "fp"
"""The model as it is."""

METHODS = (FLOAT, "rtn", "smoothquant", "atom", "spikellm", "quarot", "spikequant")


@dataclass(frozen=True)
class Calibration:
    """Which text a model is calibrated on.

    Attributes:
        path: text file, or None for the bundled articles.
        tokens: how many tokens of it.
        context: tokens in a window.
    """

    path: Path | None = None
    tokens: int = 8192
    context: int = 512

    def windows(self, tokenizer: PreTrainedTokenizerBase) -> TextWindows:
        """The text in windows.

        Raises:
            InputError: it cannot be read or is too short.
        """
        corpus = calibration_corpus(self.path)
        return corpus_windows(tokenizer, corpus, tokens=self.tokens, context=self.context)


def check_method(name: str) -> None:
    """Refuse a method that does not exist.

    Raises:
        InputError: it is none of ``METHODS``.
    """
    if name not in METHODS:
        raise InputError(f"method {name!r}: unknown, expected one of {', '.join(METHODS)}")


def find_method(name: str, recipe: Recipe) -> Method | None:
    """The method of this name, with the recipe's bits; None for the float model.

    Args:
        name: one of ``METHODS``.
        recipe: all of SpikeQuant's choices; of the others only the bits of weights and activations.

    Raises:
        InputError: it is none of ``METHODS``.
    """
    check_method(name)
    bits = {"weight_bits": recipe.weights.bits, "activation_bits": recipe.activations.bits}
    baselines = {"rtn": rtn, "smoothquant": smoothquant, "atom": atom, "spikellm": spikellm, "quarot": quarot}
    if name == FLOAT:
        return None
    return baselines[name](**bits) if name in baselines else spikequant(recipe)


def apply_method(
    language_model: LanguageModel, method: Method | None, calibration: Calibration, *, keeper: Keeper | None = None
) -> str:
    """Quantize a float model in place.

    Args:
        language_model: a float model.
        method: None leaves it as it is.
        calibration: text.
        keeper: keeps finished blocks.

    Returns:
        One line about how it was done.

    Raises:
        InputError: unusable calibration text.
    """
    if method is None:
        return "no quantization"
    if not method.calibrated:
        quantize_model(language_model.model, [], method, keeper=keeper)
        return "no calibration"
    text = calibration.windows(language_model.tokenizer)
    quantize_model(language_model.model, text.windows, method, keeper=keeper)
    return f"calibrated on {text.protocol}"
