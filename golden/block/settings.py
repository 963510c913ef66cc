"""Widths of the integer block's units."""

from dataclasses import dataclass, fields

from spikequant.golden.support.errors import InputError

MULTIPLIER_BITS = 18
"""Signed operands of an FPGA's multiplier; the default widths fit it."""

FLOAT_BITS = 25
"""Largest signed width that a float32 carries between a block's parts without rounding."""


@dataclass(frozen=True, kw_only=True)
class BlockWidths:
    """Widths in bits, and places of binary points.

    Attributes:
        residual_bits: residual stream, signed, 8..25.
        root_index_bits: address of the inverse root's table, 4..12; three quarters of its entries are used.
        root_bits: entry of that table and the inverse root, unsigned, 8..17.
        root_steps: Newton steps after the table, 0 or 1.
        unit_fraction: fractional bits of a value over the root of the sum of squares, 8..16, of at most
            ``unit_fraction + 2`` bits in all.
        gain_bits: a norm's gains over the site's step, signed, 4..18.
        gate_index_bits: address of the activation function's table, 4..12.
        gate_bits: value of the activation function, signed, 8..18.
        scale_bits: constant that brings gate times up to the steps of its site, unsigned, 4..17.
        ratio_bits: a value in steps of its site, signed, 8..25.
        ratio_fraction: its fractional bits, 1..16.
    """

    residual_bits: int = 18
    root_index_bits: int = 9
    root_bits: int = 16
    root_steps: int = 0
    unit_fraction: int = 16
    gain_bits: int = 16
    gate_index_bits: int = 9
    gate_bits: int = 18
    scale_bits: int = 16
    ratio_bits: int = 18
    ratio_fraction: int = 4

    def __post_init__(self) -> None:
        """Check the widths.

        Raises:
            InputError: one is out of range.
        """
        for field in fields(self):
            low, high = _RANGES[field.name]
            value = getattr(self, field.name)
            if not low <= value <= high:
                raise InputError(f"integer block: {field.name} is {value}, expected {low}..{high}")


_RANGES = {
    "residual_bits": (8, FLOAT_BITS),
    "root_index_bits": (4, 12),
    "root_bits": (8, MULTIPLIER_BITS - 1),
    "root_steps": (0, 1),
    "unit_fraction": (8, MULTIPLIER_BITS - 2),
    "gain_bits": (4, MULTIPLIER_BITS),
    "gate_index_bits": (4, 12),
    "gate_bits": (8, MULTIPLIER_BITS),
    "scale_bits": (4, MULTIPLIER_BITS - 1),
    "ratio_bits": (8, FLOAT_BITS),
    "ratio_fraction": (1, 16),
}
