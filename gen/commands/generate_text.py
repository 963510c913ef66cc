"""The command ``generate-text``."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.gen.commands.options import Baud, JsonFile, SpecName, Workers
from spikequant.golden.support.command_line import FAILED
from spikequant.golden.support.errors import InputError


class Backend(StrEnum):
    """What runs the linear layers."""

    RTL = "rtl"
    BOARD = "board"
    GOLDEN = "golden"
    FP = "fp"


def generate_text(
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="quantized model")],
    prompt: Annotated[str, typer.Option(help="text to continue")],
    backend: Annotated[
        Backend,
        typer.Option(help="rtl: simulated Verilog; board: a board at --port; golden: integers; fp: the float model"),
    ] = Backend.RTL,
    config: SpecName = "base",
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="most tokens to write")] = 20,
    codes: Annotated[
        bool, typer.Option("--codes/--membranes", help="layers return output codes, or exact membranes")
    ] = True,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="float model whose text is printed for comparison",
            show_default="for fp: as quantized",
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT|sim", help="serial port of the board, or sim for a virtual board", show_default=False
        ),
    ] = None,
    baud: Baud = DEFAULT_BAUD,
    memory: Annotated[
        str | None,
        typer.Option(metavar="CHIP", help="keep as many layers as fit in the board's SDRAM", show_default=False),
    ] = None,
    workers: Workers = None,
    json_file: JsonFile = None,
) -> None:
    """Continue a prompt, with the decoder's linear layers on a backend and the rest of the model in PyTorch.

    With rtl and board, every output of every layer is compared with the integers, and so are text and logits. A board
    receives the weights of all layers that --memory does not keep over its serial line for every token, so a large
    model takes long there. Exit status 0 if all are equal and none is saturated, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec

    if (backend is Backend.BOARD) != (port is not None):
        raise InputError("generate-text: --port is for --backend board, expected both or neither")
    if memory is not None and port is None:
        raise InputError("generate-text: --memory is for a board, expected it with --backend board")
    chip = find_chip(memory) if memory else None
    spec = load_spec(config)
    if backend is Backend.RTL:
        from spikequant.cosim.simulator.verilator import tool_environment

        tool_environment()
    check_output(json_file)

    from spikequant.gen.board_connection import Line
    from spikequant.gen.text_generation import board, simulators, write_text
    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.models.model import load_model

    with Console(stderr=True).status("loading the model"):
        model = load_checkpoint(checkpoint).language_model
    devices = board(spec, Line(port, baud), chip, codes=codes) if port else None
    if backend is Backend.RTL:
        devices = simulators(spec, workers)
    wanted = reference or (model.name if backend is Backend.FP else None)
    written = write_text(
        model,
        prompt,
        max_new_tokens,
        spec=None if backend is Backend.FP else spec,
        floats=partial(load_model, wanted) if wanted else None,
        devices=devices,
        codes=codes,
    )
    typer.echo("\n".join(written.lines(backend=backend.value, prompt=prompt, reference=reference)))
    figures = written.figures(backend=backend.value, config=config, prompt=prompt, codes=codes, memory=memory)
    figures.write(json_file)
    show_written(json_file)
    if not written.ok:
        raise typer.Exit(FAILED)
