"""The page of the sign-off, in one self-contained file."""

from collections.abc import Sequence
from pathlib import Path

from spikequant.gen.signoff.checklist import STAGES, Row, Stage
from spikequant.gen.signoff.ledger import Defect
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import write_text
from spikequant.golden.support.page import page_template


class SignoffFigures(Figures):
    """Figures of the sign-off.

    Attributes:
        ok: every row up to the wanted stage is met.
        stage: the wanted stage.
        reached: last stage whose rows, and those of the stages before it, are all met; empty for none.
        rows: all rows.
        defects: the ledger.
    """

    ok: bool
    stage: Stage
    reached: str
    rows: list[Row]
    defects: list[Defect]

    @classmethod
    def of(cls, rows: Sequence[Row], defects: Sequence[Defect], *, stage: Stage) -> "SignoffFigures":
        """Sum up judged rows."""
        reached = ""
        for name in STAGES:
            if any(row.outcome != "met" for row in rows if row.stage == name):
                break
            reached = name
        return cls(ok=reached >= stage, stage=stage, reached=reached, rows=list(rows), defects=list(defects))


def write_page(path: Path, figures: SignoffFigures) -> None:
    """Write the page, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    template = page_template("spikequant.gen.signoff", "signoff.html")
    write_text(path, template.render(figures=figures, stages=STAGES))
