"""The command ``cosim``."""

from pathlib import Path
from typing import Annotated

import typer

from golden.errors import InputError


def cosim(
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="preset, or TOML file with a spec")] = "base",
    vectors: Annotated[
        Path | None, typer.Option(metavar="IN.npz", help="run these integers", show_default=False)
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="run a layer of this quantized model", show_default=False)
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="which layer, such as model.layers.0.mlp.down_proj")
    ] = None,
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="real tokens to run through the layer")] = 8,
    out: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="write the hardware's results here")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures here")] = None,
    stalls: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.9, help="share of cycles in which the streams pause")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="seed of the pauses")] = 0,
    allow_saturation: Annotated[
        bool, typer.Option("--allow-saturation", help="accept outputs whose membrane left its range")
    ] = False,
) -> None:
    """Run a layer on the generated Verilog in Verilator, and compare every output with the golden model.

    Exit status 0 if all outputs are equal and none is saturated, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from cosim.build import SimulationError
    from cosim.layer import cosimulate
    from gen.verilator import tool_environment
    from golden.files import check_writable, write_json
    from golden.spec import load_spec
    from golden.vectors import load_vectors, save_arrays
    from rtl.packets import PacketError

    if (vectors is None) == (checkpoint is None) or (checkpoint is None) != (layer is None):
        raise InputError("cosim: expected either --vectors IN.npz, or --checkpoint DIR with --layer NAME")
    spec = load_spec(config)
    tool_environment()
    for path in (out, json_file):
        if path is not None:
            check_writable(path)
    if vectors is not None:
        source, integers = str(vectors), load_vectors(vectors, spec)
    elif checkpoint is not None and layer is not None:
        from golden.checkpoint import load_checkpoint
        from golden.trace import layer_vectors

        source = f"{layer} of {checkpoint}"
        integers, _ = layer_vectors(load_checkpoint(checkpoint).language_model, layer, tokens, spec)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("co-simulating", total=None)
        try:
            report = cosimulate(
                spec,
                integers,
                stall_probability=stalls,
                seed=seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except (SimulationError, PacketError) as error:
            typer.echo(f"spikequant: {source}: {error}", err=True)
            raise typer.Exit(1) from None

    ok = report.verdict.ok(allow_saturation=allow_saturation)
    if out is not None:
        output = report.output
        save_arrays(out, {"membrane": output.membrane, "code": output.code, "saturated": output.saturated})
    if json_file is not None:
        write_json(json_file, report.figures(allow_saturation=allow_saturation))
    outcome = "equal" if ok else "NOT EQUAL" if report.verdict.mismatches else "SATURATED"
    typer.echo(
        f"{source}: {integers.outputs} x {integers.inputs}, {integers.tokens} tokens on {spec.neurons} neurons x "
        f"{spec.lanes} lanes\n"
        f"{report.verdict.outputs} outputs, {report.verdict.mismatches} mismatches, "
        f"{report.verdict.saturated} saturated: {outcome}\n"
        f"{report.cycles} cycles, {report.spikes} spikes, {report.beats} beats, "
        f"lane utilisation {report.lane_utilisation:.3f}\n"
        f"{report.sim_cycles_per_second / 1e3:.0f} thousand cycles/s, {report.seconds:.1f} s in all"
    )
    if (report.spikes, report.beats) != (report.expected_spikes, report.expected_beats):
        typer.echo(
            f"{report.spikes} spikes in {report.beats} beats, "
            f"expected {report.expected_spikes} in {report.expected_beats}",
            err=True,
        )
    if report.verdict.first:
        typer.echo(f"first mismatch: {report.verdict.first}", err=True)
    if not ok:
        raise typer.Exit(1)


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the command line."""
    app.command()(cosim)
