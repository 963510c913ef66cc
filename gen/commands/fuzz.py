"""The command ``fuzz``."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile
from spikequant.golden.support.command_line import FAILED, resumable
from spikequant.golden.support.errors import InputError


@resumable("the inputs found so far are kept in --out")
def fuzz(
    target: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="target to fuzz; may be repeated", show_default="all")
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, help="duration for each target")] = 60,
    seed: Annotated[int, typer.Option(min=1, help="seed of the mutations")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for inputs; a later run starts from them")] = Path(
        "build/fuzz"
    ),
    json_file: JsonFile = None,
) -> None:
    """Fuzz the readers of files and packets with libFuzzer: search for inputs that are not refused in one line.

    A crash, a hang, a traceback or excessive memory is a finding. Exit status 0 if there is none, 1 if there is, 2 for
    bad input.
    """
    from rich.console import Console
    from rich.table import Table

    from spikequant.gen.fuzz.campaign import FuzzFigures, fuzz_target
    from spikequant.gen.fuzz.targets import TARGETS
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.support.progress import progress_bar

    if find_spec("atheris") is None:
        raise InputError("package atheris is not installed, expected from: pip install 'spikequant[fuzz]'")
    chosen = target or list(TARGETS)
    for name in chosen:
        if name not in TARGETS:
            raise InputError(f"target {name!r}: unknown, expected one of {', '.join(TARGETS)}")
    check_output(json_file, folder=out)
    found = {}
    with progress_bar() as bar:
        task = bar.add_task("", total=len(chosen))
        for name in chosen:
            bar.update(task, description=name)
            found[name] = fuzz_target(name, out / name, seconds=seconds, seed=seed)
            bar.advance(task)
    table = Table(box=None, pad_edge=False)
    for title in ("target", "runs", "branches", "memory, MB", "findings"):
        table.add_column(title, justify="left" if title == "target" else "right")
    for name, row in found.items():
        table.add_row(name, str(row.runs), str(row.branches), str(row.memory_mb), str(len(row.findings)))
    Console().print(table)
    ok = all(row.ok for row in found.values())
    FuzzFigures(ok=ok, seconds=seconds, targets=found).write(json_file)
    show_written(out, json_file)
    for name, row in found.items():
        if not row.ok:
            typer.echo(f"{name}: {row.error or 'ended early'}, see {out / name / 'log.txt'}", err=True)
            for path in row.findings:
                typer.echo(f"  replay: python -m spikequant.gen.fuzz.engine {name} {path}", err=True)
    if not ok:
        raise typer.Exit(FAILED)
