"""The commands of this folder: ``quantize``, ``eval`` and ``energy``."""

import typer

from spikequant.gen.commands.energy import energy
from spikequant.gen.commands.eval import evaluate
from spikequant.gen.commands.quantize import quantize


def add_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command("quantize")(quantize)
    app.command("eval")(evaluate)
    app.command("energy")(energy)
