"""Settings of Brevitas on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from spikequant.golden.comparison.external import ExternalRow
from spikequant.golden.comparison.show import number, percent


def settings_table(rows: Sequence[ExternalRow]) -> Table:
    """A line for each setting and text."""
    table = Table("setting", "text", "perplexity", "x fp", "KL, nats", "top-1", "seconds", box=SIMPLE_HEAD)
    for row in rows:
        figures = (number(row.perplexity), number(row.ratio), number(row.divergence, 3), percent(row.agreement))
        table.add_row(row.label, row.text, *figures, f"{row.seconds:.0f}")
    return table
