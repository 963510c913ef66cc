"""Arrays, shapes and devices of a benchmark."""

from dataclasses import dataclass
from typing import Any, Literal

from spikequant.benchmarks.twin.twin import MacTwin
from spikequant.fpga.build.core import DEVICE_OPTIONS
from spikequant.golden.layer.spec import Spec, make_spec
from spikequant.golden.support.errors import InputError
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.fabric.memory import WIDE_ROWS
from spikequant.rtl.shapes import bits_for_index

Array = Literal["spiking", "mac"]

ARRAYS: tuple[Array, ...] = ("spiking", "mac")
"""The accelerator, and the multiply-accumulate twin that it is compared with."""

FAMILY = "LFE5U-"
"""Prefix of a device's name that may be omitted."""

SIZES = ("neurons", "lanes", "clusters")
"""Fields of a spec that the numbers in a shape's name stand for, in order; the first two are required."""

EXPECTED = "NEURONSxLANES[xCLUSTERS]"
"""Format of a shape's name."""

PAIR_ROWS = 1022
"""Inputs of a pair of lanes: with the row of zeros, they fill the widest block RAM that both lanes read."""


@dataclass(frozen=True)
class Candidate:
    """One array in one shape.

    Attributes:
        array: which.
        shape: its name.
        spec: the same for both arrays.
    """

    array: Array
    shape: str
    spec: Spec

    @property
    def operations(self) -> int:
        """Weight-ops per cycle: neurons times lanes."""
        return self.spec.neurons * self.spec.lanes

    def component(self) -> Any:
        """The array with its streams."""
        return Accelerator(self.spec) if self.array == "spiking" else MacTwin(self.spec)


def parse_shape(name: str) -> Spec:
    """The shape of a name such as ``64x4`` or ``384x2x4``: neurons, lanes of each, and clusters of them, else one.

    Depth and membrane slots are chosen to fill the memories that such an array needs anyway: weights, and membranes of
    up to eight tokens. All presets but ``tiny`` do the same.

    Raises:
        InputError: it is no shape.
    """
    numbers = name.split("x")
    if not (2 <= len(numbers) <= len(SIZES) and all(number.isdecimal() for number in numbers)):
        raise InputError(f"shape {name!r}: unknown, expected {EXPECTED}, such as 64x4 or 384x2x4")
    sizes = dict(zip(SIZES, map(int, numbers), strict=False))
    sizes.setdefault("clusters", 1)
    together = sizes["neurons"] // max(1, sizes["clusters"])
    slots = WIDE_ROWS >> bits_for_index(max(2, together))
    memories = {"depth": max(1, sizes["lanes"] // 2) * PAIR_ROWS, "membrane_slots": min(max(1, slots), 8)}
    return make_spec(sizes | memories, source=f"shape {name!r}")


def parse_part(name: str) -> str:
    """The part of a name such as ``25F`` or ``LFE5U-25F``.

    Raises:
        InputError: it is no part.
    """
    device = FAMILY + name.removeprefix(FAMILY)
    if device not in DEVICE_OPTIONS:
        raise InputError(f"part {name!r}: unknown, expected some of {', '.join(DEVICE_OPTIONS)}")
    return device
