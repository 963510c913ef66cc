"""The command ``chat``."""

import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.gen.commands.options import (
    Baud,
    BoardName,
    ClockMHz,
    JsonFile,
    fitting_preset,
    resident_memory,
)
from spikequant.golden.support.command_line import FAILED
from spikequant.golden.support.errors import InputError

if TYPE_CHECKING:
    from spikequant.gen.chat.figures import ChatFigures


class Backend(StrEnum):
    """What runs the linear layers."""

    BOARD = "board"
    GOLDEN = "golden"


def chat(
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="quantized model")],
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT|sim", help="serial port of the board, or sim for a virtual board", show_default=False
        ),
    ] = None,
    backend: Annotated[
        Backend, typer.Option(help="board: a board at --port; golden: integers, with the time of --board calculated")
    ] = Backend.BOARD,
    board: BoardName = "ulx3s_85f",
    config: Annotated[str | None, fitting_preset()] = None,
    memory: Annotated[str | None, resident_memory()] = None,
    frequency: ClockMHz = 60.0,
    baud: Baud = DEFAULT_BAUD,
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="most tokens of a reply")] = 100,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="a prompt; repeat for more; by default each line of stdin", show_default=False
        ),
    ] = None,
    codes: Annotated[
        bool, typer.Option("--codes/--membranes", help="layers return output codes, or exact membranes")
    ] = True,
    json_file: JsonFile = None,
) -> None:
    """Chat with a model on a board, or continue prompts if its tokenizer has no chat template.

    Text is written to stdout as it comes. A status line on stderr shows tokens per second, and what binds: line,
    memory or array, calculated as by `tokens --board`. The time of a virtual board is the board's at its clock and
    speed of the line, counted in its cycles, and not the simulator's.

    Ctrl-C stops a reply, Ctrl-D ends. Every output of a board is compared with the integers. Exit status 0 if all are
    equal and none is saturated, 1 if not or if the board fails, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.gen.board_choice import choose_board
    from spikequant.gen.output import check_output

    if backend is Backend.BOARD and port is None:
        raise InputError("chat: no --port, expected a serial port, sim, or --backend golden")
    if backend is Backend.GOLDEN and port is not None:
        raise InputError(f"chat: --port {port} is for a board, expected none with --backend golden")
    chosen = choose_board(board, config=config, frequency_hz=frequency * 1e6, memory=memory, baud=baud, codes=codes)
    check_output(json_file)

    from spikequant.gen.board_connection import VIRTUAL, board_line
    from spikequant.gen.chat.figures import Origin
    from spikequant.gen.chat.prompts import prompts, stop_on_interrupt
    from spikequant.gen.chat.screen import ReplyScreen
    from spikequant.gen.chat.session import ChatSession
    from spikequant.gen.text_generation import board as board_devices
    from spikequant.gen.text_generation import linear_layers
    from spikequant.golden.checkpoint.checkpoint import load_checkpoint

    line = board_line(chosen.setup, port, baud) if port else None
    out, err = Console(), Console(stderr=True)
    with err.status("loading the model"):
        model = load_checkpoint(checkpoint).language_model
    origin = Origin.CALCULATED if line is None else Origin.COUNTED if port == VIRTUAL else Origin.MEASURED
    session = ChatSession(model, chosen, origin)
    spec = chosen.setup.spec
    devices = board_devices(spec, line, chosen.chip, codes=codes) if line else None
    typed = not prompt and sys.stdin.isatty()
    with ExitStack() as stack:
        with err.status("starting") as starting:
            layers = linear_layers(model, spec, devices, codes=codes, stage=starting.update, watch=session.watch)
            session.work = stack.enter_context(layers)
        typer.echo(_heading(model.name, template=session.conversation.has_template, typed=typed), err=True)
        for text in prompts(prompt or []):
            try:
                with stop_on_interrupt() as stopped, ReplyScreen(out, err) as screen:
                    session.reply(text, screen, tokens=max_new_tokens, stopped=stopped)
            except InputError as error:
                if not typed:
                    raise
                session.conversation.clear()
                typer.echo(f"{error}; the conversation begins anew", err=True)
    _finish(session.figures(port=port, codes=codes), json_file)


def _finish(figures: "ChatFigures", json_file: Path | None) -> None:
    """Write the figures, and print the outcome of the comparison with the integers."""
    from spikequant.gen.output import outcome_line, show_written

    figures.write(json_file)
    compared = figures.compared
    if compared is not None:
        typer.echo(outcome_line(compared.outputs, compared.mismatches, compared.saturated, ok=figures.ok), err=True)
        if compared.first_mismatch:
            typer.echo(f"first mismatch: {compared.first_mismatch}", err=True)
    show_written(json_file, err=True)
    if not figures.ok:
        raise typer.Exit(FAILED)


def _heading(model: str, *, template: bool, typed: bool) -> str:
    """One line on what happens to prompts."""
    use = "chat template of its tokenizer" if template else "no chat template: each prompt is continued"
    return f"{model}, {use}" + ("; Ctrl-C stops a reply, Ctrl-D ends" if typed else "")
