"""Rows of a comparison that another program measured, on the same windows of the same text."""

from pathlib import Path

from pydantic import Field

from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.rows import Row
from spikequant.golden.comparison.widths import Widths
from spikequant.golden.evaluation.accuracy import Accuracy
from spikequant.golden.support.digest import digest_windows
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures

SAME = 1e-3
"""Largest relative difference between two computations of the float model's perplexity on the same windows."""


class ExternalRow(Widths, Accuracy):
    """Accuracy of another program's model on one text; it has no spikes, so salient and silent ratios are 0.

    Attributes:
        label: name of the row.
        how: one line on how the model was made, with the program and its version.
        text: name of the text.
        windows: digest of its windows, by ``digest_windows``.
        float_perplexity: perplexity of the float model by the same program, on the same windows.
        bits: width of the codes of weights and activations.
        seconds: wall time of the quantization.
    """

    label: str
    how: str
    text: str
    windows: str
    float_perplexity: float = Field(gt=0)
    bits: int
    seconds: float


class ExternalRows(Figures):
    """Rows of another program.

    Attributes:
        model: name of the float model, as the user gave it.
        method: short name of the program.
        source: what the program is, in one line.
        rows: a row for each of its models and each text.
    """

    model: str
    method: str
    source: str
    rows: list[ExternalRow]


def external_row(path: Path, found: ExternalRows, text: EvaluationText, *, model: str, floats: Row) -> Row:
    """The row to add to a comparison: of those in a file the one with the least perplexity on a text.

    Args:
        path: file that they were read from.
        found: rows of another program.
        text: of the comparison.
        model: name of the comparison's float model.
        floats: row of the float model on this text.

    Raises:
        InputError: the text is missing, was read in other windows, or gives the float model another perplexity.
    """
    of_text = [row for row in found.rows if row.text == text.name]
    if not of_text:
        names = ", ".join(dict.fromkeys(row.text for row in found.rows)) or "nothing"
        raise InputError(f"row {path}: measured on {names}, expected {text.name}")
    row = min(of_text, key=lambda row: row.perplexity)
    if row.windows != digest_windows(text.read.windows):
        raise InputError(
            f"row {path}: {row.label} was measured on {row.tokens} tokens in other windows of {text.name}, expected "
            f"{text.read.protocol}"
        )
    if abs(row.float_perplexity / floats.perplexity - 1) > SAME:
        raise InputError(
            f"row {path}: perplexity of the float model is {row.float_perplexity:.6g} on {text.name}, expected "
            f"{floats.perplexity:.6g} as that of {model}"
        )
    fields = row.model_dump(include=set(Row.model_fields))
    protocol = f"{model}; {text.read.protocol}; {row.label}, {row.how}"
    return Row(**fields, method=found.method, text_protocol=text.read.protocol, protocol=protocol)
