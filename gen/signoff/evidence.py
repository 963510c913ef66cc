"""Results of campaigns, marked with the hardware that they are about, so that old ones are not taken for new ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from spikequant.fpga.estimate.measurement import hardware_digest
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import write_text

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


def write_evidence(figures: Figures, path: Path | None) -> None:
    """Write figures with the digest of the present hardware, as JSON; None writes nothing.

    Raises:
        InputError: the file cannot be written.
    """
    if path is not None:
        marked = json.loads(figures.model_dump_json()) | {HARDWARE: hardware_digest()}
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
    mark = _Mark.read(path, what="evidence", expected=expected)
    if not mark.hardware:
        raise InputError(f"evidence {path}: says nothing about its hardware, expected {expected}")
    figures = campaign.figures.read(path, what="evidence", expected=expected)
    return Evidence(figures, mark.hardware == hardware_digest())
