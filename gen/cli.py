"""The command ``spikequant``.

The modules of the commands import at their top only what their options need, and the rest when they run, so that
``--help`` and bad options are answered at once.
"""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from spikequant.gen.commands.bake import bake
from spikequant.gen.commands.bench import bench
from spikequant.gen.commands.boards import boards
from spikequant.gen.commands.brevitas import brevitas
from spikequant.gen.commands.chat import chat
from spikequant.gen.commands.cosim import cosim
from spikequant.gen.commands.coverage import coverage
from spikequant.gen.commands.demo import demo
from spikequant.gen.commands.disturbed import disturbed
from spikequant.gen.commands.energy import energy
from spikequant.gen.commands.estimate import estimate
from spikequant.gen.commands.eval import evaluate
from spikequant.gen.commands.every_board import every_board
from spikequant.gen.commands.families import families
from spikequant.gen.commands.formal import formal
from spikequant.gen.commands.fuzz import fuzz
from spikequant.gen.commands.fuzz_line import fuzz_line
from spikequant.gen.commands.generate import generate
from spikequant.gen.commands.generate_text import generate_text
from spikequant.gen.commands.memory_bandwidth import memory_bandwidth
from spikequant.gen.commands.memory_synthesis import memory_synthesis
from spikequant.gen.commands.methods import methods
from spikequant.gen.commands.mutate import mutate
from spikequant.gen.commands.presets import presets
from spikequant.gen.commands.prices import prices
from spikequant.gen.commands.program import program
from spikequant.gen.commands.quantize import quantize
from spikequant.gen.commands.recipes import recipes
from spikequant.gen.commands.report import report
from spikequant.gen.commands.run import run
from spikequant.gen.commands.signoff import signoff
from spikequant.gen.commands.silence import silence
from spikequant.gen.commands.soak_memory import soak_memory
from spikequant.gen.commands.speed import speed
from spikequant.gen.commands.sweep import sweep
from spikequant.gen.commands.synth import synth
from spikequant.gen.commands.tokens import tokens
from spikequant.gen.commands.upsets import upsets
from spikequant.gen.commands.verify import verify
from spikequant.gen.commands.zero_shot import zero_shot
from spikequant.golden.support.command_line import MARKUP, run_app

COMMANDS: Mapping[str, tuple[Callable[..., None], ...]] = {
    "Model": (quantize, evaluate, zero_shot, energy, silence, generate_text, chat),
    "Hardware": (generate, estimate, synth, bake, program),
    "Run and prove": (cosim, formal, run, signoff),
    "Explore": (demo, report, sweep, presets, boards, recipes, methods),
    "Campaigns": (
        *(verify, mutate, coverage, upsets, fuzz, fuzz_line, disturbed, soak_memory),
        *(bench, brevitas, tokens, prices, speed, memory_bandwidth, memory_synthesis, every_board, families),
    ),
}
"""Commands by their group in ``--help``. A command has the name of its file."""

app = typer.Typer(
    name="spikequant",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"spikequant {version('spikequant')}")
        raise typer.Exit


@app.callback()
def spikequant(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Quantize a language model to spikes, generate the accelerator that runs it, and prove the two equal."""


for group, commands in COMMANDS.items():
    for command in commands:
        name = command.__module__.rpartition(".")[2].replace("_", "-")
        app.command(name, rich_help_panel=group)(command)


def main() -> None:
    """Run the command line; an error is one line on stderr."""
    run_app(app, name="spikequant")
