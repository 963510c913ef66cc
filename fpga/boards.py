"""The boards that bitstreams are made for, and what their devices hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from spikequant.golden.support.errors import InputError

DEFAULT_BAUD = 1_000_000
"""Bits a second on a board's serial line where nothing else is wished."""


@dataclass(frozen=True)
class Resources:
    """What a design needs, or what a device has.

    Attributes:
        luts: four-input look-up tables, those that carry chains and distributed memory take included.
        ffs: flip-flops.
        ebrs: block RAMs of 18 kbit.
        dsps: 18 x 18 bit multipliers.
    """

    luts: int
    ffs: int
    ebrs: int
    dsps: int


_45F = Resources(luts=43848, ffs=43848, ebrs=108, dsps=72)
_85F = Resources(luts=83640, ffs=83640, ebrs=208, dsps=156)

DEVICES: Mapping[str, Resources] = {
    "LFE5U-25F": Resources(luts=24288, ffs=24288, ebrs=56, dsps=28),
    "LFE5U-45F": _45F,
    "LFE5U-85F": _85F,
    "LFE5UM5G-45F": _45F,
    "LFE5UM5G-85F": _85F,
}
"""The ECP5 devices as nextpnr knows them."""

SIZED: Mapping[str, str] = {
    "LFE5U-25F": "base",
    "LFE5U-45F": "max45",
    "LFE5U-85F": "max85",
    "LFE5UM5G-45F": "max45",
    "LFE5UM5G-85F": "max85",
}
"""For each device the preset of ``spikequant.golden.layer.spec`` that does most on it, as the benchmarks chose."""


@dataclass(frozen=True)
class Board:
    """A board, the class that knows its pins, and what openFPGALoader calls it.

    Attributes:
        name: as the command line takes it.
        device: the part, a key of ``DEVICES``.
        module: where the platform's class is.
        platform: the class.
        loader: name for ``openFPGALoader --board``.
        sdram: it has an SDR SDRAM, 16 bits wide, as the platform's resource ``sdram``.
    """

    name: str
    device: str
    module: str
    platform: str
    loader: str
    sdram: bool = False

    @property
    def preset(self) -> str:
        """Key of ``golden.layer.spec.PRESETS``: the accelerator that is sized for the device (docs/benchmarks.md)."""
        return SIZED[self.device]

    def make_platform(self) -> Any:
        """An instance of the platform's class."""
        return getattr(import_module(self.module), self.platform)()

    @property
    def capacity(self) -> Resources:
        """What the device holds."""
        return DEVICES[self.device]


BOARDS: Mapping[str, Board] = {
    board.name: board
    for board in (
        Board("ulx3s_25f", "LFE5U-25F", "amaranth_boards.ulx3s", "ULX3S_25F_Platform", "ulx3s", sdram=True),
        Board("ulx3s_45f", "LFE5U-45F", "amaranth_boards.ulx3s", "ULX3S_45F_Platform", "ulx3s", sdram=True),
        Board("ulx3s_85f", "LFE5U-85F", "amaranth_boards.ulx3s", "ULX3S_85F_Platform", "ulx3s", sdram=True),
        Board("ecpix5_45f", "LFE5UM5G-45F", "amaranth_boards.ecpix5", "ECPIX545Platform", "ecpix5"),
        Board("ecpix5_85f", "LFE5UM5G-85F", "amaranth_boards.ecpix5", "ECPIX585Platform", "ecpix5"),
        Board("orangecrab_25f", "LFE5U-25F", "spikequant.fpga.platforms", "OrangeCrab25FPlatform", "orangeCrab"),
        Board("orangecrab_85f", "LFE5U-85F", "spikequant.fpga.platforms", "OrangeCrab85FPlatform", "orangeCrab"),
        Board("colorlight_i5", "LFE5U-25F", "spikequant.fpga.platforms", "ColorlightI5Platform", "colorlight-i5"),
        Board("colorlight_i9", "LFE5U-45F", "spikequant.fpga.platforms", "ColorlightI9Platform", "colorlight-i9"),
        Board("ecp5_evn", "LFE5UM5G-85F", "amaranth_boards.ecp5_5g_evn", "ECP55GEVNPlatform", "ecp5_evn"),
    )
}
"""The boards by name."""


def find_board(name: str) -> Board:
    """The board of that name.

    Raises:
        InputError: there is none.
    """
    if name not in BOARDS:
        raise InputError(f"board: unknown board {name!r}, expected one of {', '.join(BOARDS)}")
    return BOARDS[name]


def check_fit(needed: Resources, device: str, *, target: str) -> None:
    """Nothing, if the device holds the design.

    Args:
        needed: by the design.
        device: a key of ``DEVICES``.
        target: what the message calls whatever is built for.

    Raises:
        InputError: it does not; names every resource that is short.
    """
    capacity = DEVICES[device]
    short = [
        f"{getattr(needed, field)} {label}s (there are {getattr(capacity, field)})"
        for field, label in (("luts", "LUT"), ("ffs", "flip-flop"), ("ebrs", "EBR"), ("dsps", "DSP"))
        if getattr(needed, field) > getattr(capacity, field)
    ]
    if short:
        raise InputError(f"{target}: the design does not fit the {device}: needs {', '.join(short)}")
