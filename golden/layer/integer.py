"""The integer level of the golden model: membranes and output codes, exact."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class LayerOutput:
    """Outputs of a layer for T tokens and N outputs.

    Attributes:
        membrane: int64 [T, N], V' with the bias included; [T, 0] if results were brief, without membranes.
        code: int32 [T, N], output codes of the spec's ``output_bits``.
        saturated: bool [T, N], outputs whose membrane left its range; their values are unspecified.
    """

    membrane: Integers
    code: NDArray[np.int32]
    saturated: NDArray[np.bool_]

    @property
    def brief(self) -> bool:
        """Whether there are no membranes."""
        return self.membrane.shape != self.code.shape


def weight_steps(vectors: LayerVectors, *, weight_bits: int) -> Integers:
    """Signed weights ``u - zero``, int64 [N, K]; in units of 1/2**weight_bits of a step if some columns are wide."""
    weights = vectors.w_code.astype(np.int64) - vectors.w_zero.astype(np.int64)[:, None]
    if vectors.wide.size:
        weights <<= weight_bits
        weights[:, vectors.wide] += vectors.w_low
    return weights


def output_code(
    membrane: Integers, theta: NDArray[np.integer[Any]], *, theta_fraction_bits: int, output_bits: int
) -> NDArray[np.int32]:
    """Threshold read-out: ``sign(V') * min(2**(B-1) - 1, (|V'| * 2**F + theta // 2) // theta)``.

    Args:
        membrane: int64 [T, N], V'; ``|V'| * 2**F`` must fit 63 bits, which every spec's widths ensure.
        theta: [N], 1 or more.
        theta_fraction_bits: F.
        output_bits: B.
    """
    scale = theta.astype(np.int64)
    magnitude = ((np.abs(membrane) << theta_fraction_bits) + scale // 2) // scale
    limited = np.minimum(magnitude, 2 ** (output_bits - 1) - 1)
    return (np.sign(membrane) * limited).astype(np.int32)


def run_layer(vectors: LayerVectors, spec: Spec) -> LayerOutput:
    """The exact result of a layer, from the definition: one integer matrix product.

    An output is ``saturated`` if the sum of ``|w| |n|`` reaches the membrane's range. Hardware may flag only such
    outputs, and need not flag all of them.
    """
    weights = weight_steps(vectors, weight_bits=spec.weight_bits)
    level = vectors.level.astype(np.int64)
    membrane = level @ weights.T + vectors.bias.astype(np.int64)
    reach = np.abs(level) @ np.abs(weights).T
    code = output_code(
        membrane, vectors.theta, theta_fraction_bits=spec.theta_fraction_bits, output_bits=spec.output_bits
    )
    return LayerOutput(membrane=membrane, code=code, saturated=reach >= 2 ** (spec.membrane_bits - 1))
