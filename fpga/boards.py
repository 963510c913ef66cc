"""Supported boards and the resources of their devices."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from spikequant.golden.support.errors import InputError

DEFAULT_BAUD = 1_000_000
"""Bits a second on a board's serial line by default."""


@dataclass(frozen=True)
class Resources:
    """Resources of a design or of a device.

    Attributes:
        luts: four-input lookup tables, carry chains and distributed memory included.
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
"""Resources of the ECP5 devices, as nextpnr counts them."""

SIZED: Mapping[str, str] = {
    "LFE5U-25F": "base",
    "LFE5U-45F": "max45",
    "LFE5U-85F": "max85",
    "LFE5UM5G-45F": "max45",
    "LFE5UM5G-85F": "max85",
}
"""Preset of ``spikequant.golden.layer.spec`` with the highest throughput on each device (docs/benchmarks.md)."""


@dataclass(frozen=True)
class Board:
    """A supported board.

    Attributes:
        name: name on the command line.
        device: the part, a key of ``DEVICES``.
        module, platform: the class that defines its pins.
        loader: name for ``openFPGALoader --board``.
        sdram: it has a 16-bit SDR SDRAM, the platform's resource ``sdram``.
    """

    name: str
    device: str
    module: str
    platform: str
    loader: str
    sdram: bool = False

    @property
    def preset(self) -> str:
        """Preset of the accelerator that is sized for the device."""
        return SIZED[self.device]

    def make_platform(self) -> Any:
        """An instance of the platform's class."""
        return getattr(import_module(self.module), self.platform)()

    @property
    def capacity(self) -> Resources:
        """Resources of the device."""
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
"""Boards by name."""


def find_board(name: str) -> Board:
    """Find a board by name.

    Raises:
        InputError: there is no such board.
    """
    if name not in BOARDS:
        raise InputError(f"board: unknown board {name!r}, expected one of {', '.join(BOARDS)}")
    return BOARDS[name]


def check_sdram(board: Board) -> None:
    """Check that a board has an SDR SDRAM.

    Raises:
        InputError: it has none.
    """
    if not board.sdram:
        raise InputError(f"board: {board.name} has no SDR SDRAM, expected a ulx3s with a memory")


def shortages(needed: Resources, capacity: Resources) -> list[str]:
    """What a design needs more of than there is, each with its counts; empty if it fits."""
    return [
        f"{getattr(needed, field)} {label}s (there are {getattr(capacity, field)})"
        for field, label in (("luts", "LUT"), ("ffs", "flip-flop"), ("ebrs", "EBR"), ("dsps", "DSP"))
        if getattr(needed, field) > getattr(capacity, field)
    ]


def check_fit(needed: Resources, device: str, *, target: str) -> None:
    """Check that a device, a key of ``DEVICES``, holds a design; ``target`` names the board or device in the error.

    Raises:
        InputError: it does not; the message names every resource that is short.
    """
    short = shortages(needed, DEVICES[device])
    if short:
        raise InputError(f"{target}: the design does not fit the {device}: needs {', '.join(short)}")
