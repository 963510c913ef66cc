"""The command ``demo``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import BoardName, ClockMHz, JsonFile, LayerTokens, Seeds, SpecName
from spikequant.golden.support.command_line import FAILED, resumable


@resumable("finished builds are kept in the cache")
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write to")] = Path("build/demo"),
    config: SpecName = "base",
    board: BoardName = "ulx3s_85f",
    layer: Annotated[
        str, typer.Option(metavar="NAME", help="linear layer of SmolLM2")
    ] = "model.layers.20.self_attn.q_proj",
    tokens: LayerTokens = 8,
    skip_bitstream: Annotated[bool, typer.Option("--skip-bitstream", help="stop after the co-simulation")] = False,
    frequency: ClockMHz = 60.0,
    seeds: Seeds = 1,
    calibration_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="tokens of calibration text")] = 2048,
    json_file: JsonFile = None,
) -> None:
    """Take a real layer from PyTorch to spikes, Verilog, a bit-exact simulation, a bitstream, and an HTML report.

    Exit status 0 if the simulated Verilog equals PyTorch at every output and the bitstream meets timing, 1 if
    not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.boards import find_board
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec

    load_spec(config)
    find_board(board)
    check_output(json_file, folder=out)

    # these load PyTorch and Amaranth, so bad input is reported first
    from spikequant.gen.demo.demo import DemoSettings, run_demo
    from spikequant.gen.demo.summary import demo_figures, demo_summary

    settings = DemoSettings(
        out=out,
        config=config,
        board=board,
        layer=layer,
        tokens=tokens,
        bitstream=not skip_bitstream,
        frequency_mhz=frequency,
        seeds=seeds,
        calibration_tokens=calibration_tokens,
    )
    record, page = run_demo(settings, console=Console(stderr=True))
    demo_figures(record, page).write(json_file)
    typer.echo(demo_summary(record))
    show_written(*(out / file.path for file in record.files), page, json_file)
    if not record.ok:
        raise typer.Exit(FAILED)
