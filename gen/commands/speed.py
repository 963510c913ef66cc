"""The command ``speed``."""

from statistics import median
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile, SpecName
from spikequant.golden.support.command_line import FAILED


def speed(
    config: SpecName = "base",
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="tokens of a random layer")] = 8,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="runs of each program, alternating")] = 7,
    json_file: JsonFile = None,
) -> None:
    """Compare the simulation speed of the cocotb bench with a C++ program around the same Verilog.

    Both simulate a random layer of 576 x 1536. Exit status 0 if they return the same words and the bench has at least
    0.8 of the speed, 1 if not.
    """
    from rich.console import Console

    from spikequant.benchmarks.cosim_speed import GOAL, SpeedFigures, measure
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.random_layers import random_vectors
    from spikequant.golden.layer.spec import load_spec

    spec = load_spec(config)
    check_output(json_file)
    vectors = random_vectors(spec, outputs=576, inputs=1536, tokens=tokens, salient_fraction=0.02, seed=1)
    with Console(stderr=True).status("simulating"):
        speeds = measure(spec, vectors, rounds=rounds)
    SpeedFigures(config=config, tokens=tokens, **speeds.model_dump()).write(json_file)
    typer.echo(
        f"{speeds.cycles} cycles of {spec.neurons} x {spec.lanes}, {rounds} runs each, in thousand cycles/s\n"
        f"cocotb: median {median(speeds.cocotb):.0f}, best {max(speeds.cocotb):.0f}\n"
        f"C++:    median {median(speeds.cpp):.0f}, best {max(speeds.cpp):.0f}\n"
        f"cocotb / C++: {speeds.ratio:.2f}, expected {GOAL} or more; "
        f"{'same words' if speeds.equal else 'DIFFERENT WORDS'}"
    )
    show_written(json_file)
    if not speeds.ok:
        raise typer.Exit(FAILED)
