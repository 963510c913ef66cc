"""Results of campaigns, marked with the hardware that they are about, so that old ones are not taken for new ones."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Generic, TypeVar

import spikequant.fpga.link
import spikequant.fpga.sdram
import spikequant.golden.layer
import spikequant.rtl
from spikequant.golden.support.digest import digest_sources
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import read_text, write_text
from spikequant.golden.support.json_files import parse_json
from spikequant.golden.support.store import digest_of

F = TypeVar("F", bound=Figures)

HARDWARE = "hardware"
"""Key of the digest in the JSON file."""


class _Mark(Figures):
    hardware: str = ""


@dataclass(frozen=True)
class Campaign(Generic[F]):
    """A campaign that writes evidence.

    Attributes:
        file: name of its file in the folder of evidence.
        figures: type of its figures.
        command: what repeats it.
    """

    file: str
    figures: type[F]
    command: str


@dataclass(frozen=True)
class Evidence(Generic[F]):
    """Results of a campaign.

    Attributes:
        figures: the results.
        current: whether they are about the present hardware.
    """

    figures: F
    current: bool


def sources_digest() -> str:
    """SHA-256 of everything that the hardware is generated from, in hexadecimal.

    The RTLIL of a few presets would leave out what none of them has, such as the ramp read-out or the serial line.
    """
    packages = (spikequant.rtl, spikequant.golden.layer, spikequant.fpga.sdram, spikequant.fpga.link)
    return digest_of([*map(digest_sources, packages), version("amaranth")])


def write_evidence(figures: Figures, path: Path | None) -> None:
    """Write figures with the digest of the present hardware's sources, as JSON; None writes nothing.

    Raises:
        InputError: the file cannot be written.
    """
    if path is not None:
        marked = json.loads(figures.model_dump_json()) | {HARDWARE: sources_digest()}
        write_text(path, json.dumps(marked, indent=2) + "\n")


def read_evidence(folder: Path, campaign: Campaign[F]) -> Evidence[F] | None:
    """Read the results of a campaign; None if there are none.

    Raises:
        InputError: the file is not one that ``write_evidence`` wrote.
    """
    path = folder / campaign.file
    if not path.exists():
        return None
    expected = f"a file that {campaign.command} wrote"
    text = read_text(path, what="evidence", expected=expected)
    hardware = parse_json(text, _Mark, source=f"evidence {path}").hardware
    if not hardware:
        raise InputError(f"evidence {path}: says nothing about its hardware, expected {expected}")
    figures = parse_json(text, campaign.figures, source=f"evidence {path}")
    return Evidence(figures, hardware == sources_digest())
