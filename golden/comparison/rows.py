"""Rows of a comparison: the figures of one model on one text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from spikequant.golden.comparison.candidates import Candidate
from spikequant.golden.comparison.widths import Widths, measure_widths
from spikequant.golden.evaluation.accuracy import Accuracy, measure_accuracy
from spikequant.golden.evaluation.agreement import Agreement
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.support.digest import digest_windows
from spikequant.golden.support.store import ResultFolder, digest_of


@dataclass(frozen=True)
class EvaluationText:
    """A text to predict.

    Attributes:
        name: name or file, as the user gave it.
        read: its windows.
    """

    name: str
    read: TextWindows


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


class MethodResult(Row):
    """Result of one method: its row on the first text at the top level, then one row for each text.

    Attributes:
        model: name of the model, as the user gave it.
        output_bits: width of the output codes; None reads the membranes.
        texts: a row for each text.
        integers: float and integer results of some layers, compared; empty unless asked for.
    """

    model: str
    output_bits: int | None
    texts: list[Row]
    integers: list[Agreement]


class ComparisonResult(Row):
    """Result of all methods: the row of SpikeQuant on the first text at the top level, then all rows.

    Attributes:
        model: name of the model, as the user gave it.
        output_bits: width of the output codes; None reads the membranes.
        sources: for each method the publication that it follows, and the differences.
        rows: a row for each method and text.
    """

    model: str
    output_bits: int | None
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


def compare(
    candidates: Sequence[Candidate],
    texts: Sequence[EvaluationText],
    *,
    model_name: str,
    reference: PreTrainedModel | None,
    kept: ResultFolder[Row],
    basis: str,
) -> Iterator[Row]:
    """Build each candidate once, and measure it on every text.

    Memory holds the reference and one candidate at most.

    Args:
        candidates: in the order of the rows.
        texts: for each of them, in this order.
        model_name: name of the model, as the user gave it.
        reference: float model to compare predictions with, or None.
        kept: rows of an earlier run, to which new ones are added.
        basis: digest of everything that all rows depend on, other than candidate and text.

    Yields:
        Each row as soon as it is known.
    """
    for candidate in candidates:
        built = None
        for text in texts:
            key = digest_of([basis, candidate.label, candidate.digest, text.name, digest_windows(text.read.windows)])
            row = kept.find(key, key)
            if row is None:
                built = built or candidate.build()
                accuracy = measure_accuracy(
                    built.model, text.read.windows, reference, description=f"scoring {candidate.label} on {text.name}"
                )
                widths = measure_widths(
                    built.model, candidate.method, built.recipe, salient_ratio=accuracy.salient_ratio
                )
                row = Row(
                    **accuracy.model_dump(),
                    **widths.model_dump(),
                    method=candidate.method,
                    label=candidate.label,
                    bits=candidate.bits,
                    text=text.name,
                    how=built.how,
                    text_protocol=text.read.protocol,
                    protocol=f"{model_name}; {text.read.protocol}; {candidate.label}, {built.how}",
                )
                kept.keep(key, key, row)
            yield row
