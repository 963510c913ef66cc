"""Styles of the Verilog: the primitives that it may have."""

from collections.abc import Mapping
from enum import StrEnum


class Style(StrEnum):
    """Primitives in the Verilog."""

    PORTABLE = "portable"
    ECP5 = "ecp5"


PRIMITIVES: Mapping[Style, str] = {
    Style.PORTABLE: "no primitives and no attributes of a device family, for any tool",
    Style.ECP5: "carry chains (CCU2C), block RAMs (DP16KD, PDPW16KD) and registers (TRELLIS_FF) of the ECP5",
}
"""What is in the Verilog of each style."""
