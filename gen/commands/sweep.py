"""The command ``sweep``."""

from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile, PlotFile, Scheduler, Workers
from spikequant.golden.support.command_line import resumable


@resumable("finished points are kept in the cache")
def sweep(
    plan: Annotated[str, typer.Argument(metavar="FILE.toml", help="what to combine; keys as in gen/sweep/plan.py")],
    plot: PlotFile = None,
    json_file: JsonFile = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
) -> None:
    """Compare accelerators, recipes and boards: perplexity, energy, LUTs and speed of each, and the Pareto front.

    An interrupted sweep resumes when it is started again. Exit status 0 if all points are there, including those that
    fit no board, 2 for bad input.
    """
    from os import cpu_count

    from rich.console import Console

    from spikequant.gen.output import check_output, check_plot, show_written
    from spikequant.gen.sweep.plan import load_plan
    from spikequant.golden.support.files import replace_file
    from spikequant.golden.support.progress import progress_bar

    chosen = load_plan(plan)
    chosen.specs()
    check_plot(plot)
    check_output(plot, json_file)

    from spikequant.gen.sweep.pareto import pareto_plot, sweep_figures, sweep_table
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
    if plot is not None:
        with replace_file(plot) as temporary:
            temporary.write_bytes(pareto_plot(points))
    sweep_figures(chosen, points).write(json_file)
    Console().print(sweep_table(points))
    show_written(plot, json_file)
