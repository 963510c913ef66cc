"""Comparisons on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from spikequant.golden.comparison.rows import Row
from spikequant.golden.evaluation.agreement import Agreement

MISSING = "-"

NARROWEST = 4
"""Minimum width of a table's first column, which shrinks on a narrow terminal."""

WRITTEN_OUT = 1e6
"""Numbers from here on are printed with an exponent."""


def number(value: float | None, digits: int = 4) -> str:
    """A number with ``digits`` significant digits, without an exponent up to a million."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if 10**digits <= abs(value) < WRITTEN_OUT else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """A share in percent."""
    return MISSING if value is None else f"{value:.2%}"


def _table(title: str, *headings: str, caption: str = "") -> Table:
    """A table with text in its first column, narrow enough for 80 columns."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(
            heading, justify="right" if place else "left", no_wrap=bool(place), min_width=None if place else NARROWEST
        )
    return table


def progress_line(row: Row) -> str:
    """One line on a finished row."""
    ratio = "" if row.ratio is None else f", {number(row.ratio)} x fp"
    return f"{row.label} on {row.text}: perplexity {number(row.perplexity)}{ratio}"


def comparison_table(rows: Sequence[Row]) -> Table:
    """The rows of one text."""
    headings = ("method", "perplexity", "x fp", "KL, nats", "top-1", "salient", "silent")
    table = _table(rows[0].text, *headings, caption=rows[0].text_protocol)
    for row in rows:
        spiking = row.silent_ratio > 0
        table.add_row(
            row.label,
            number(row.perplexity),
            number(row.ratio),
            number(row.divergence, 3),
            percent(row.agreement),
            percent(row.salient_ratio) if spiking else MISSING,
            percent(row.silent_ratio) if spiking else MISSING,
        )
    return table


def widths_table(rows: Sequence[Row]) -> Table:
    """Bits and speed of the rows of one text."""
    headings = ("method", "W bits", "stored", "A bits", "stored", "tokens/s", "x fp")
    caption = "bits: mean of the codes, and with scales, zero points, indices and marks"
    table = _table("widths and speed", *headings, caption=caption)
    for row in rows:
        bits = (row.weight_bits, row.weight_bits_stored, row.activation_bits, row.activation_bits_stored)
        speed = (number(row.tokens_per_second, 3), number(row.speed_ratio, 2))
        table.add_row(row.label, *(f"{value:.2f}" for value in bits), *speed)
    return table


def sweep_table(rows: Sequence[Row]) -> Table:
    """The rows of one text, with a line for each width."""
    methods = list(dict.fromkeys(row.method for row in rows if row.bits is not None))
    found = {(row.bits, row.method): row for row in rows}
    headings = [heading for method in methods for heading in (method, "x fp", "KL, nats")]
    table = _table(
        f"{rows[0].text}, bits of weights and activations", "bits", *headings, "salient", caption=rows[0].text_protocol
    )
    for bits in dict.fromkeys(row.bits for row in rows):
        if bits is None:
            continue
        across = [found[bits, method] for method in methods]
        cells = [
            cell for row in across for cell in (number(row.perplexity), number(row.ratio), number(row.divergence, 3))
        ]
        table.add_row(str(bits), *cells, percent(max(row.salient_ratio for row in across)))
    return table


def show_comparison(rows: Sequence[Row], console: Console, *, sweep: bool = False) -> None:
    """Print a table for each text, then a line on how each candidate was made.

    Args:
        rows: of all texts.
        console: to print on.
        sweep: whether to print a line for each width instead of each row.
    """
    parts = [[row for row in rows if row.text == text] for text in dict.fromkeys(row.text for row in rows)]
    for part in parts:
        console.print(sweep_table(part) if sweep else comparison_table(part))
    if sweep:
        # the rows of a method differ in width only
        parts[0] = list({row.method: row for row in parts[0]}.values())
    else:
        console.print(widths_table(parts[0]))
    for row in parts[0]:
        label = row.method if sweep else row.label
        note = f"; {row.bits_note}" if row.bits_note and not sweep else ""
        console.print(f"{label}: {row.how}{note}", highlight=False, style="dim")


def show_agreements(agreements: Sequence[Agreement], console: Console) -> None:
    """Print for each layer whether floats and integers agree, or that nothing could be compared."""
    if not agreements:
        return
    table = _table("floats and integers", "layer", "outputs", "inexact", "difference", "other codes", "agree")
    for agreement in agreements:
        figures = (f"{agreement.difference:.1e}", str(agreement.unequal_codes), "yes" if agreement.holds else "NO")
        known = figures if agreement.compared else (MISSING,) * len(figures)
        table.add_row(agreement.layer, str(agreement.outputs), str(agreement.inexact), *known)
    console.print(table)
    for agreement in agreements:
        if not agreement.compared:
            line = f"{agreement.layer}: nothing compared, since float32 holds none of its sums exactly"
            console.print(line, highlight=False, soft_wrap=True)
