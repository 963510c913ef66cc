"""The command ``upsets``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, JsonFile, SpecName
from spikequant.golden.support.command_line import resumable


@resumable("finished upsets are kept in --out")
def upsets(
    config: SpecName = "tiny",
    count: Annotated[int, typer.Option(metavar="N", min=1, help="upsets of each kind of state")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="seed of the layer, the bits and the cycles")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for results; a later run resumes from them")] = Path(
        "build/upsets"
    ),
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Invert single bits of the netlist's registers and memories during a run, and count what comes of it.

    An upset is masked if all outputs are right, flagged if the driver notices it, and silent otherwise. Exit status 0
    if all upsets were played, 2 for bad input.
    """
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

    from spikequant.fpga.upsets.campaign import KINDS, UpsetFigures, prepare, run_kind
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder

    spec = load_spec(config)
    check_output(json_file, folder=out)
    console = Console(stderr=True)
    with console.status("synthesizing, and building the simulator"):
        campaign = prepare(spec, seed=seed, folder=out, cache=cache or default_cache_folder())
    found, cycles = [], 0
    with progress_bar(console) as bar:
        for kind, name in KINDS.items():
            task = bar.add_task(name, total=count)

            def advance(done: int, task: TaskID = task) -> None:
                bar.update(task, completed=done)

            figures, cycles = run_kind(campaign, kind, count, progress=advance)
            if figures.bits:
                found.append(figures)
    table = Table(box=None, pad_edge=False)
    for title in ("state", "bits", "upsets", "masked", "flagged", "silent", "silent, most often in"):
        table.add_column(title, justify="left" if title.startswith(("state", "silent, ")) else "right")
    for one in found:
        shares = (f"{part / one.upsets:.1%}" for part in (one.masked, one.flagged, one.silent))
        worst = ", ".join(f"{name} {number}" for name, number in list(one.silent_in.items())[:3])
        table.add_row(KINDS[one.kind], str(one.bits), str(one.upsets), *shares, worst)
    Console().print(table)
    typer.echo(f"{config}, a layer of {campaign.vectors.inputs} inputs in {cycles} cycles, seed {seed}")
    write_evidence(UpsetFigures(config=config, seed=seed, cycles=cycles, kinds=found), json_file)
    show_written(out, json_file)
