"""Boards, and serial lines on boards, that ``amaranth_boards`` lacks."""

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import LEDResources, UARTResource

IO_TYPE = "LVCMOS33"


class _ColorlightPlatform(LatticeECP5Platform):
    """A Colorlight card on its extension board, whose USB adapter carries the serial line.

    Pins as in litex-boards (``colorlight_i5.py``), from the schematics in wuxx/Colorlight-FPGA-Projects.
    """

    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    connectors = ()
    common = (
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), Attrs(IO_TYPE=IO_TYPE)),
        UARTResource(0, rx="H18", tx="J17", attrs=Attrs(IO_TYPE=IO_TYPE)),
    )


class ColorlightI5Platform(_ColorlightPlatform):
    """Colorlight i5 v7.0."""

    device = "LFE5U-25F"
    resources = (*_ColorlightPlatform.common, *LEDResources(pins="U16", invert=True, attrs=Attrs(IO_TYPE=IO_TYPE)))


class ColorlightI9Platform(_ColorlightPlatform):
    """Colorlight i9 v7.2."""

    device = "LFE5U-45F"
    resources = (*_ColorlightPlatform.common, *LEDResources(pins="L2", invert=True, attrs=Attrs(IO_TYPE=IO_TYPE)))


_FEATHER_UART = UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE=IO_TYPE))
"""Serial line on the usual pins of a Feather: pin 0 receives, pin 1 transmits."""


class OrangeCrab25FPlatform(OrangeCrabR0_2_25FPlatform):
    """OrangeCrab r0.2 with a serial line on its header."""

    resources = (*OrangeCrabR0_2_25FPlatform.resources, _FEATHER_UART)


class OrangeCrab85FPlatform(OrangeCrabR0_2_85FPlatform):
    """OrangeCrab r0.2.1 with a serial line on its header."""

    resources = (*OrangeCrabR0_2_85FPlatform.resources, _FEATHER_UART)
