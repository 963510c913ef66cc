"""Sweep over widths: the same methods from 1 to 8 bits."""

import re
from collections.abc import Callable

from spikequant.golden.comparison.candidates import Candidate, method_candidate
from spikequant.golden.evaluation.methods import FLOAT, SPIKEQUANT, Calibration
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import ACTIVATION_BITS
from spikequant.golden.support.errors import InputError

WIDEST = 8
METHODS = ("rtn", SPIKEQUANT)


def parse_bits(text: str) -> list[int]:
    """The widths that ``--bits`` names: ``1-8``, ``4``, or ``2,3,6-8``; ascending.

    Raises:
        InputError: not such a list, or a width outside 1..8.
    """
    widths: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d)\s*(?:-\s*(\d)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= WIDEST:
            raise InputError(f"bits {text!r}: expected widths in 1..{WIDEST}, like 1-8 or 2,3,4")
        widths.update(range(first, last + 1))
    return sorted(widths)


def at_bits(recipe: Recipe, bits: int) -> Recipe:
    """The recipe with weights and activations of ``bits`` bits, salient codes with one more, at most 8."""
    salient = min(bits + 1, WIDEST) if recipe.activations.salient_bits else 0
    return recipe.model_copy(
        update={
            "weights": recipe.weights.model_copy(update={"bits": bits}),
            "activations": recipe.activations.model_copy(update={"bits": bits, "salient_bits": salient}),
        }
    )


def sweep_candidates(
    bits: list[int],
    recipe: Recipe,
    calibration: Calibration,
    *,
    untouched: Callable[[], LanguageModel],
    float_model: Callable[[], LanguageModel],
) -> list[Candidate]:
    """The float model, then every method at each width.

    Args:
        bits: widths.
        recipe: of SpikeQuant, apart from the bits.
        calibration: text.
        untouched: gives the float model, which is not modified.
        float_model: gives a float model that may be modified.
    """
    swept = [
        method_candidate(
            method,
            at_bits(recipe, width),
            calibration,
            float_model,
            label=f"{method} {width} bits",
            output_bits=OUTPUT_BITS + max(0, width - ACTIVATION_BITS),
        )
        for width in bits
        for method in METHODS
    ]
    return [method_candidate(FLOAT, recipe, calibration, untouched), *swept]
