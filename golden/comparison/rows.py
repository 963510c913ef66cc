"""Results of an evaluation: rows with the figures of one model on one text, and the files of several rows."""

from pathlib import Path

from spikequant.golden.comparison.widths import Widths
from spikequant.golden.evaluation.accuracy import Accuracy
from spikequant.golden.evaluation.agreement import Agreement
from spikequant.golden.support.store import ResultFolder


class Row(Widths, Accuracy):
    """Accuracy and widths of one model on one text.

    Attributes:
        method: as in ``--method``.
        label: name of the candidate.
        bits: width of its codes; None for floats.
        text: name of the text.
        how: one line on how the candidate was made.
        text_protocol: one line on the text.
        protocol: one line on the model, the text and the method.
    """

    method: str
    label: str
    bits: int | None
    text: str
    how: str
    text_protocol: str
    protocol: str


class _Result(Row):
    """Result of an evaluation, with the figures of its main row at the top level.

    Attributes:
        model: name of the model, as the user gave it.
        output_bits: width of SpikeQuant's output codes; None where membranes are read.
    """

    model: str
    output_bits: int | None


class MethodResult(_Result):
    """Result of one method, with its row on the first text at the top level.

    Attributes:
        texts: a row for each text.
        integers: float and integer results of some layers, compared; empty unless asked for.
    """

    texts: list[Row]
    integers: list[Agreement]


class ComparisonResult(_Result):
    """Result of all methods, with the row of SpikeQuant on the first text at the top level.

    Attributes:
        sources: for each method the publication that it follows, and the differences.
        rows: a row for each method and text.
    """

    sources: dict[str, str]
    rows: list[Row]


class SweepResult(ComparisonResult):
    """Result of a sweep; at the top level SpikeQuant at 4 bits, or at the nearest width.

    Attributes:
        sweep: quantity that was swept.
    """

    sweep: str = "bits"


def unfinished_rows(result: Path | None) -> ResultFolder[Row]:
    """Rows of a run that writes this file, kept next to it until the run is complete; None keeps nothing."""
    return ResultFolder(result and result.with_name(f"{result.name}.partial"), Row)
