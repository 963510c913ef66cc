"""Co-simulation of every decoder layer of a model, with the outcome on the terminal."""

import time
from os import cpu_count
from pathlib import Path

import typer
from rich.console import Console

from spikequant.cosim.page import write_page
from spikequant.cosim.simulator.build import build_bursts
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.cosim.whole_model import LayerOutcome, cosimulate_model
from spikequant.gen.output import outcome_line
from spikequant.golden.checkpoint.checkpoint import load_checkpoint
from spikequant.golden.evaluation.trace import trace_layers
from spikequant.golden.layer.spec import Spec
from spikequant.golden.models.text import trace_corpus
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.support.cluster import cluster_client
from spikequant.golden.support.errors import InputError, named_failures
from spikequant.golden.support.progress import progress_bar


def run_model(
    spec: Spec,
    checkpoint: Path,
    tokens: int,
    *,
    text: str | None = None,
    json_file: Path | None,
    page: Path | None,
    allow_saturation: bool,
    workers: int | None,
    scheduler: str | None,
    fresh: bool,
) -> bool:
    """Co-simulate every decoder layer of a quantized model, and write and print the outcome.

    Args:
        spec: the accelerator.
        checkpoint: folder of the model.
        tokens: tokens of real text for each layer.
        text: name or file of that text, as ``trace_corpus`` takes it.
        json_file: file for the figures.
        page: HTML file with every layer.
        allow_saturation: accept saturated outputs.
        workers: simulators; one per core by default.
        scheduler: address of a Dask cluster to run on.
        fresh: simulate layers again that earlier runs simulated.

    Returns:
        Whether all outputs are equal, and none is saturated unless that is allowed.

    Raises:
        InputError: a tool is missing, no such cluster, or a checkpoint without quantized layers.
        SimulationError, PacketError: the simulation or the accelerator failed.
    """
    texts = trace_corpus(text).texts
    tool_environment()
    console = Console(stderr=True)
    with console.status("building the simulator"):
        build_bursts(spec)
    began = time.perf_counter()
    with console.status("loading the model"):
        model = load_checkpoint(checkpoint).language_model
    names = list(quantized_layers(model.model))
    if not names:
        raise InputError(f"checkpoint {checkpoint}: no quantized layers, expected some in its decoder")
    with (
        named_failures(str(checkpoint)),
        cluster_client(scheduler, workers=workers or cpu_count() or 1) as client,
        progress_bar(console) as bar,
    ):
        task = bar.add_task("co-simulating", total=len(names))

        def advance(outcome: LayerOutcome) -> None:
            bar.update(task, advance=1, description=outcome.name)

        traced = ((name, vectors) for name, vectors, _ in trace_layers(model, names, tokens, spec, texts=texts))
        figures = cosimulate_model(
            client,
            spec,
            traced,
            tokens=tokens,
            began=began,
            allow_saturation=allow_saturation,
            progress=advance,
            fresh=fresh,
        )

    figures.write(json_file)
    if page is not None:
        write_page(page, figures, spec=spec, model=model.name)
    typer.echo(
        f"{checkpoint}: {figures.layers} layers, {figures.tokens} tokens on {spec.neurons} neurons x "
        f"{spec.lanes} lanes\n"
        f"{outcome_line(figures.outputs, figures.mismatches, figures.saturated, ok=figures.ok)}\n"
        f"{figures.cycles} cycles, lane utilisation {figures.lane_utilisation:.3f}\n"
        f"{figures.sim_cycles_per_second / 1e3:.0f} thousand cycles/s per simulator, {figures.seconds:.1f} s in total"
    )
    if figures.remembered:
        typer.echo(f"{figures.remembered} layers were simulated in an earlier run")
    for outcome in figures.per_layer:
        if not outcome.activity_expected:
            typer.echo(f"{outcome.name}: spikes or beats differ from the golden model's", err=True)
    if figures.first_mismatch:
        typer.echo(f"first mismatch: {figures.first_mismatch}", err=True)
    return figures.ok
