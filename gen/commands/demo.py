"""The commands ``demo``, ``report`` and ``sweep``."""

# Commands import what they need when they run, so that --help answers at once; their options have names anyway.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import JsonFile, SpecName

if TYPE_CHECKING:
    from spikequant.gen.demo.record import DemoRecord


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write to")] = Path("build/demo"),
    config: SpecName = "base",
    board: Annotated[str, typer.Option(metavar="NAME", help="board to build the bitstream for")] = "ulx3s_85f",
    layer: Annotated[
        str, typer.Option(metavar="NAME", help="which linear layer of SmolLM2")
    ] = "model.layers.20.self_attn.q_proj",
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="real tokens to run through the layer")] = 8,
    skip_bitstream: Annotated[bool, typer.Option("--skip-bitstream", help="stop behind the co-simulation")] = False,
    frequency: Annotated[float, typer.Option(metavar="MHZ", help="clock of the bitstream")] = 60.0,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="placements to try, the best is kept")] = 1,
    calibration_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="tokens of text to calibrate on")] = 2048,
    json_file: JsonFile = None,
) -> None:
    """Take a real layer from PyTorch to spikes, Verilog, a bit-exact simulation, a bitstream, and an HTML report.

    Exit status 0 if the simulated Verilog equals PyTorch at every output and the bitstream meets timing, 1 if
    not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.boards import find_board
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable, writable_folder, write_json

    load_spec(config)
    find_board(board)
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)

    # these load PyTorch and the hardware language, so bad input is told before
    from spikequant.cosim.simulator.build import SimulationError
    from spikequant.fpga.toolchain import ToolError
    from spikequant.gen.demo.demo import DemoSettings, run_demo
    from spikequant.rtl.driver.packets import PacketError

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
    try:
        result = run_demo(settings, console=Console(stderr=True))
    except (SimulationError, PacketError, ToolError) as error:
        typer.echo(f"spikequant: demo: {error}", err=True)
        raise typer.Exit(1) from None
    if json_file is not None:
        write_json(json_file, figures(result.record, result.report))
    typer.echo(summary(result.record, result.report))
    if not result.record.ok:
        raise typer.Exit(1)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="folder that the demo wrote")] = Path("build/demo"),
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="page to write; report.html in the folder by default")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Render the report of a demo again, from the files that the demo wrote.

    Exit status 0 if the page is written, whatever it says; 2 for bad input.
    """
    from spikequant.gen.demo.record import load_record
    from spikequant.gen.demo.report import write_report
    from spikequant.golden.support.files import check_writable, write_json

    if json_file is not None:
        check_writable(json_file)
    page = write_report(folder, out)
    record = load_record(folder)
    if json_file is not None:
        write_json(json_file, figures(record, page))
    typer.echo(summary(record, page))


def sweep(
    plan: Annotated[str, typer.Argument(metavar="FILE.toml", help="what to combine; see gen/sweep/plan.py")],
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="write a plot of the Pareto front here")] = None,
    json_file: JsonFile = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="processes", show_default="one a core")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="run on this Dask cluster, like tcp://host:8786")
    ] = None,
) -> None:
    """Combine accelerators, recipes and boards: perplexity, energy, LUTs and speed of each, and the Pareto front.

    What an earlier run has is kept, so a sweep that was cut short goes on. Exit status 0 if all points are there,
    those that fit no board included, 2 for bad input.
    """
    from os import cpu_count

    from rich.console import Console

    from spikequant.gen.sweep.plan import load_plan
    from spikequant.golden.support.files import check_writable, replace_file, write_json
    from spikequant.golden.support.progress import progress_bar

    chosen = load_plan(plan)
    chosen.specs()
    if plot is not None and plot.suffix != ".png":
        raise InputError(f"plot {plot}: expected a file name that ends in .png")
    for path in (plot, json_file):
        if path is not None:
            check_writable(path)

    from spikequant.gen.sweep.pareto import pareto_front, pareto_plot, sweep_table
    from spikequant.gen.sweep.run import plan_jobs, run_sweep
    from spikequant.golden.support.cluster import cluster_client

    console = Console(stderr=True)
    with console.status("planning"):
        jobs = plan_jobs(chosen)
    with (
        cluster_client(scheduler, workers=workers or cpu_count() or 1) as client,
        progress_bar(console) as bar,
    ):
        task = bar.add_task("sweeping", total=jobs.count)
        points = run_sweep(client, jobs, progress=lambda: bar.update(task, advance=1))
    front = pareto_front(points)
    if plot is not None:
        with replace_file(plot) as beside:
            beside.write_bytes(pareto_plot(points))
    if json_file is not None:
        marked = [{**point.figures(), "front": on_front} for point, on_front in zip(points, front, strict=True)]
        write_json(json_file, {"ok": True, "plan": chosen.model_dump(), "points": marked})
    Console().print(sweep_table(points))


def figures(record: "DemoRecord", page: Path) -> dict[str, Any]:
    """What ``--json`` writes."""
    device = record.device
    return {
        "ok": record.ok,
        "mismatches": record.mismatches,
        "compared": sum(item.outputs for item in record.comparisons),
        "timing_met": device.timing_met if device else None,
        "salient_ratio": record.salient_ratio,
        "silent_ratio": record.silent_ratio,
        **record.simulation.model_dump(),
        "fmax_mhz": device.fmax_mhz if device else None,
        "bitstream_sha256": device.bitstream_sha256 if device else None,
        "config": record.config,
        "layer": record.layer,
        "tokens": len(record.tokens),
        "seconds": sum(record.seconds.values()),
        "report": str(page),
    }


def summary(record: "DemoRecord", page: Path) -> str:
    """The demo in a few lines of plain text."""
    lines = [
        f"{record.layer} of {record.model}: {record.outputs} x {record.inputs}, {len(record.tokens)} tokens on "
        f"{record.spec.neurons} neurons x {record.spec.lanes} lanes"
    ]
    lines += [
        f"Verilog against {item.against}: {item.equal} of {item.outputs} outputs equal" for item in record.comparisons
    ]
    if record.simulation.first_mismatch:
        lines.append(f"first mismatch: {record.simulation.first_mismatch}")
    if record.simulation.saturated:
        lines.append(f"{record.simulation.saturated} outputs saturated, expected none")
    lines.append(f"{record.salient_ratio:.1%} of the inputs salient, {record.silent_ratio:.1%} silent")
    if record.device is not None:
        device = record.device
        used = ", ".join(f"{item.used} of {item.available} {item.name}s" for item in device.resources)
        lines.append(f"{device.device}: {used}")
        verdict = "timing met" if device.timing_met else "TIMING MISSED"
        lines.append(f"{device.fmax_mhz[device.chosen]:.1f} MHz, wanted {device.wanted_mhz:.1f} MHz: {verdict}")
    lines += ["bit-exact" if record.exact else "NOT BIT-EXACT", f"report: {page}"]
    return "\n".join(lines)


def add_commands(app: typer.Typer) -> None:
    """Add ``demo``, ``report`` and ``sweep`` to the command line."""
    app.command()(demo)
    app.command()(report)
    app.command()(sweep)
