"""The ledger of hardware defects: what was wrong, how it was found, and what holds it now."""

from pathlib import Path

from pydantic import ConfigDict, Field

from spikequant.golden.support.figures import Figures
from spikequant.golden.support.toml_files import read_toml

LEDGER = Path(__file__).with_name("defects.toml")


class Defect(Figures):
    """A defect of the hardware that was corrected.

    Attributes:
        component: folder or file of the defect.
        defect: what was wrong, and what it could do.
        found: how it was found.
        fixed: date of the correction, as YYYY-MM-DD.
        held: tests, as FILE::FUNCTION, and properties of ``spikequant formal`` that fail if it comes back.
    """

    model_config = ConfigDict(extra="forbid")

    component: str
    defect: str
    found: str
    fixed: str = Field(pattern=r"\d{4}-\d\d-\d\d")
    held: list[str] = Field(min_length=1)


def read_ledger() -> list[Defect]:
    """The defects, oldest first."""
    entries = read_toml(str(LEDGER), what="ledger", presets={})["defect"]
    return [Defect.model_validate(entry) for entry in entries]
