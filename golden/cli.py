"""The commands of this folder: ``quantize``, ``eval`` and ``energy``."""

import typer

from golden.commands.energy import energy
from golden.commands.evaluate import evaluate
from golden.commands.quantize import quantize


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("quantize")(quantize)
    app.command("eval")(evaluate)
    app.command("energy")(energy)
