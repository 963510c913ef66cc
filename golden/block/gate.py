"""Gate times up: activation function of the gate by a table, one product, and results in steps of the next site.

The activation function is SiLU, and ``silu(x) = max(x, 0) - tail(|x|)`` with ``tail(x) = x / (1 + exp(x))``: for x of
both signs the same function, of at most 0.279, which vanishes beyond 8. So a table of the tail alone, of few and short
entries, serves the whole range, and no value is ever clipped.

With c and e the codes and exponents of the two layers, u their units, and s the step of the site of down::

    g        = c_gate << e_gate[n]                                 in units of u_gate
    value    = (max(g, 0) << f) - table[|g| / 2**a]                in units of u_gate / 2**f
    scaled   = value * scale / 2**scale_bits
    ratio[n] = scaled * c_up * 2**(e_up[n] - shift)                in steps of s

Structure: a shifter, one table read, a subtraction, a product with a constant of the layer, a product with the code, a
shifter. Two multipliers of 18 bits, a value a cycle.
"""

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

import torch
from torch import Tensor

from spikequant.golden.block.fixed_point import floor_shift, mantissa, round_shift, saturate
from spikequant.golden.block.results import Results
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.support.errors import InputError

TAIL_END = 8
"""From here on, the tail counts as 0; it is 0.0027 here."""

DIGITS = 40
"""Decimal digits of the exponentials in the table."""

MOST_FRACTION = 12
"""Largest number of fractional bits of the activation function's value, in the gate's units."""

MOST_LEFT = 28
"""Largest shift of the last product to the left."""


@dataclass(frozen=True)
class GateConstants:
    """Constants of gate times up in one block.

    Attributes:
        gate_exponents: int64 [N].
        table: int64 ``[2**gate_index_bits]``, the tail in units of ``u_gate / 2**fraction``.
        address_shift: a, places from g to the table's address.
        fraction: f, fractional bits of the activation function's value; negative where g is too wide.
        scale: constant of ``scale_bits`` bits.
        shifts: int64 [N], places to the right of the last product: ``shift - e_up[n]``.
    """

    gate_exponents: Tensor
    table: Tensor
    address_shift: int
    fraction: int
    scale: int
    shifts: Tensor


def tail(x: Fraction) -> Fraction:
    """``x / (1 + exp(x))`` for x of 0 or more, to about 40 digits; decimal exponentials are rounded correctly."""
    context = Context(prec=DIGITS)
    exponential = context.exp(context.divide(Decimal(x.numerator), Decimal(x.denominator)))
    return x / (1 + Fraction(exponential))


def gate_constants(gate: Results, up: Results, step: float, widths: BlockWidths) -> GateConstants:
    """Constants, each rounded once from exact fractions.

    Args:
        gate: results of the gate's layer.
        up: results of the layer that it multiplies.
        step: value of one level of the site of down (s).
        widths: of the block.

    Raises:
        InputError: a unit is so much larger than the step that the last product would be shifted too far.
    """
    unit = Fraction(gate.unit)
    entries = 2**widths.gate_index_bits
    address_shift = 0
    while (entries << address_shift) * unit < TAIL_END:
        address_shift += 1
    largest = gate.bits - 1 + int(gate.exponents.max())
    fraction = min(widths.gate_bits - 1 - largest, MOST_FRACTION)
    scale, places = mantissa(unit * Fraction(up.unit) / Fraction(step), widths.scale_bits)
    shifts = fraction + places - widths.scale_bits - widths.ratio_fraction - up.exponents
    if int(shifts.min()) < -MOST_LEFT:
        raise InputError(
            f"integer block: gate times up has a unit of {float(unit) * up.unit:.3g}, expected less in steps of "
            f"{step:.3g} at its site"
        )
    table = [round(tail((index << address_shift) * unit) / unit * Fraction(2) ** fraction) for index in range(entries)]
    return GateConstants(gate.exponents, torch.tensor(table), address_shift, fraction, scale, shifts)


def gate_times_up(
    gate_codes: Tensor, up_codes: Tensor, constants: GateConstants, widths: BlockWidths
) -> tuple[Tensor, Tensor]:
    """Gate times up in steps of the site of down.

    Widths: ``|g| < 2**(bits - 1 + max(e_gate))`` fits the value's ``gate_bits`` by the choice of f, and the tail never
    exceeds its argument; the constant is below 1, so the scaled value is no wider; the product with a code of B bits
    has ``gate_bits + B - 1``. The ratio saturates.

    Args:
        gate_codes: int64 [..., N], output codes of the gate's layer.
        up_codes: int64 [..., N], of the other layer.
        constants: of the block.
        widths: of the block.

    Returns:
        int64 [..., N] of ``ratio_bits`` signed bits, ``ratio_fraction`` of them fractional, truncated, and bool flags
        of saturated ratios.
    """
    gate = gate_codes << constants.gate_exponents
    index = round_shift(gate.abs(), constants.address_shift)
    last = constants.table.numel() - 1
    subtracted = constants.table[index.clamp(max=last)].masked_fill(index > last, 0)
    value = round_shift(gate.clamp(min=0), -constants.fraction) - subtracted
    scaled = round_shift(value * constants.scale, widths.scale_bits)
    return saturate(floor_shift(scaled * up_codes, constants.shifts), widths.ratio_bits)
