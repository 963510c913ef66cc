"""Dividers of an ECP5 PLL (EHXPLLL) for a target clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

from spikequant.golden.support.errors import InputError

MIN_PHASE_DETECTOR_HZ = 3.125e6
MIN_VCO_HZ, MAX_VCO_HZ = 400e6, 800e6
BEST_VCO_HZ = 600e6
MIN_OUTPUT_HZ, MAX_OUTPUT_HZ = 10e6, 400e6
MAX_DIVIDER = 128

EXACT = 1e-9
"""Relative rounding error."""


@dataclass(frozen=True)
class PllSettings:
    """Dividers of a PLL whose feedback comes from its primary output.

    Attributes:
        input_hz: reference clock.
        input_divider: CLKI_DIV, 1..128.
        feedback_divider: CLKFB_DIV, 1..128.
        output_divider: CLKOP_DIV, 1..128; ratio of the oscillator to the output.
        second_divider: CLKOS_DIV, 1..128; None without a second output.
    """

    input_hz: float
    input_divider: int
    feedback_divider: int
    output_divider: int
    second_divider: int | None = None

    @property
    def output_hz(self) -> float:
        """Frequency of the primary output."""
        return self.input_hz * self.feedback_divider / self.input_divider

    @property
    def vco_hz(self) -> float:
        """Frequency of the oscillator, 400..800 MHz."""
        return self.output_hz * self.output_divider

    @property
    def second_hz(self) -> float | None:
        """Frequency of the second output."""
        return None if self.second_divider is None else self.vco_hz / self.second_divider

    @property
    def output_phase(self) -> int:
        """CLKOP_CPHASE: the middle of the output divider's count, as ``ecppll`` sets it."""
        return self.output_divider // 2


def _dividers(input_hz: float) -> Iterator[tuple[int, int]]:
    """Input and feedback dividers; the primary output is the input times the second over the first."""
    return product(range(1, min(MAX_DIVIDER, int(input_hz / MIN_PHASE_DETECTOR_HZ)) + 1), range(1, MAX_DIVIDER + 1))


def highest_clock(input_hz: float, limit_hz: float) -> float:
    """Highest frequency of the primary output, in Hz, that is not above ``limit_hz``.

    Raises:
        InputError: no output is that slow.
    """
    outputs = (input_hz * feedback_divider / input_divider for input_divider, feedback_divider in _dividers(input_hz))
    found = max((output for output in outputs if MIN_OUTPUT_HZ <= output <= min(limit_hz, MAX_OUTPUT_HZ)), default=None)
    if found is None:
        raise InputError(f"frequency: the design reaches {limit_hz / 1e6:.1f} MHz, expected 10 MHz at least")
    return found


def pll_settings(input_hz: float, wanted_hz: float, *, second_hz: float | None = None) -> PllSettings:
    """Settings with the output nearest to ``wanted_hz``, and then the oscillator nearest to the middle of its range.

    A second output has the highest possible frequency up to ``second_hz``, given the first one.

    The limits are those of Project Trellis' ``ecppll``: phase detector 3.125 MHz and above, oscillator
    400..800 MHz, output 10..400 MHz.

    Raises:
        InputError: ``wanted_hz`` or ``second_hz`` is outside 10..400 MHz.
    """
    for hz in (wanted_hz, second_hz):
        if hz is not None and not MIN_OUTPUT_HZ <= hz <= MAX_OUTPUT_HZ:
            raise InputError(f"frequency: {hz / 1e6:g} MHz is out of the range of the PLL, expected 10..400 MHz")

    def second_divider(vco_hz: float) -> int | None:
        return None if second_hz is None else ceil(vco_hz / second_hz - EXACT)

    candidates = [
        PllSettings(
            input_hz,
            input_divider,
            feedback_divider,
            output_divider,
            second_divider(input_hz * feedback_divider / input_divider * output_divider),
        )
        for input_divider, feedback_divider in _dividers(input_hz)
        for output_divider in range(1, MAX_DIVIDER + 1)
        if MIN_VCO_HZ <= input_hz * feedback_divider / input_divider * output_divider <= MAX_VCO_HZ
        and MIN_OUTPUT_HZ <= input_hz * feedback_divider / input_divider <= MAX_OUTPUT_HZ
    ]
    return min(
        candidates,
        key=lambda pll: (
            abs(pll.output_hz - wanted_hz),
            (second_hz or 0) - (pll.second_hz or 0),
            abs(pll.vco_hz - BEST_VCO_HZ),
        ),
    )
