"""Figures on the terminal."""

from typing import Any


def show_figures(title: str, figures: dict[str, Any]) -> None:
    """Print names and values as a table, without lists and what is not known."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for name, value in figures.items():
        if value is not None and not isinstance(value, list | dict):
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
