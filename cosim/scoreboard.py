"""Comparison of the hardware's outputs with the golden model's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.integer import LayerOutput


@dataclass(frozen=True)
class Verdict:
    """Outcome of a comparison.

    Attributes:
        outputs: outputs compared.
        mismatches: unflagged outputs whose membrane or code differs, and outputs with a needless flag; of brief
            results, whose code differs.
        saturated: outputs that the hardware flagged.
        first: one line on the first mismatch; empty if there is none.
    """

    outputs: int
    mismatches: int
    saturated: int
    first: str

    def ok(self, *, allow_saturation: bool) -> bool:
        """Return whether there is no mismatch, and no saturated output unless that is allowed."""
        return not self.mismatches and (allow_saturation or not self.saturated)


def wrong_outputs(golden: LayerOutput, hardware: LayerOutput) -> NDArray[np.bool_]:
    """Find wrong outputs, bool [T, N].

    ``golden.saturated`` marks where the hardware may raise a flag; the values of flagged outputs are unspecified.
    """
    needless = hardware.saturated & ~golden.saturated
    differs = golden.code != hardware.code
    if not hardware.brief:
        differs |= golden.membrane != hardware.membrane
    return needless | (differs & ~hardware.saturated)


def compare(golden: LayerOutput, hardware: LayerOutput) -> Verdict:
    """Compare all outputs of a layer by the rules of ``wrong_outputs``."""
    wrong = wrong_outputs(golden, hardware)
    first = ""
    if wrong.any():
        token, neuron = (int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        place = (token, neuron)
        if hardware.saturated[place]:
            first = f"token {token}, neuron {neuron}: saturation flag, expected none"
        elif hardware.brief:
            first = f"token {token}, neuron {neuron}: code {hardware.code[place]}, expected {golden.code[place]}"
        else:
            first = (
                f"token {token}, neuron {neuron}: membrane {hardware.membrane[place]}, code {hardware.code[place]}, "
                f"expected {golden.membrane[place]}, {golden.code[place]}"
            )
    return Verdict(
        outputs=int(wrong.size),
        mismatches=int(wrong.sum()),
        saturated=int(hardware.saturated.sum()),
        first=first,
    )
