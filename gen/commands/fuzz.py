"""``make fuzz-files``: coverage-guided fuzzing of everything that reads a file or a packet."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import JsonFile

MEMORY_MB = 3000
"""Beyond which a target has failed; PyTorch and transformers take 900 of it."""

HANG_SECONDS = 20

LARGEST = 4096
"""Bytes of an input."""


def _figures(log: str) -> dict[str, int]:
    """Runs, new ways and memory, as libFuzzer prints them."""
    found = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", log)}
    ways = re.findall(r"cov: (\d+)", log)
    return {
        "runs": found.get("number_of_executed_units", 0),
        "branches": int(ways[-1]) if ways else 0,
        "memory_mb": found.get("peak_rss_mb", 0),
    }


def _fuzz(target: str, folder: Path, *, seconds: int, seed: int) -> dict[str, Any]:
    """One target: its figures, and files with what went wrong."""
    from spikequant.gen.fuzz.targets import TARGETS

    corpus, wrong = folder / "corpus", folder / "findings"
    for place in (corpus, wrong):
        place.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(TARGETS[target].samples()):
        (corpus / f"sample-{number}").write_bytes(sample)
    flags = {
        "max_total_time": seconds,
        "rss_limit_mb": MEMORY_MB,
        "timeout": HANG_SECONDS,
        "max_len": LARGEST,
        "seed": seed,
        "artifact_prefix": f"{wrong}/",
        "print_final_stats": 1,
    }
    command = [
        sys.executable,
        "-m",
        "spikequant.gen.fuzz.engine",
        target,
        *(f"-{key}={value}" for key, value in flags.items()),
    ]
    log = folder / "log.txt"
    with log.open("wb") as output:
        status = subprocess.run([*command, str(corpus)], stdout=output, stderr=output, check=False).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    findings = sorted(str(path) for path in wrong.iterdir())
    errors = re.findall(r"Uncaught Python exception: ===\s*(.*)", text)
    return {**_figures(text), "status": status, "error": errors[0] if errors else "", "findings": findings}


def fuzz(
    target: Annotated[list[str] | None, typer.Option(help="which alone, may be repeated", show_default="all")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="for each target")] = 60,
    seed: Annotated[int, typer.Option(min=1, help="of the changes")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="where inputs are kept; a later run goes on")] = Path(
        "build/fuzz"
    ),
    json_file: JsonFile = None,
) -> None:
    """Look for inputs that a reader does not refuse in one line: a crash, a hang, a traceback, or too much memory.

    Exit status 0 if there is none, 1 if there is, 2 for bad input.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from spikequant.gen.fuzz.targets import TARGETS
    from spikequant.golden.support.files import check_writable, writable_folder, write_json

    if find_spec("atheris") is None:
        raise InputError("package atheris is not installed, expected from: pip install 'spikequant[fuzz]'")
    chosen = target or list(TARGETS)
    for name in chosen:
        if name not in TARGETS:
            raise InputError(f"target {name!r}: unknown, expected one of {', '.join(TARGETS)}")
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    found = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("fuzzing", total=len(chosen))
        for name in chosen:
            bar.update(task, description=name)
            found[name] = _fuzz(name, out / name, seconds=seconds, seed=seed)
            bar.advance(task)
    table = Table(box=None, pad_edge=False)
    for title in ("target", "runs", "branches", "memory, MB", "findings"):
        table.add_column(title, justify="left" if title == "target" else "right")
    for name, row in found.items():
        table.add_row(name, *(str(row[key]) for key in ("runs", "branches", "memory_mb")), str(len(row["findings"])))
    Console().print(table)
    wrong = {name: row for name, row in found.items() if row["findings"] or row["status"]}
    for name, row in wrong.items():
        typer.echo(f"{name}: {row['error'] or 'ended early'}, see {out / name / 'log.txt'}", err=True)
        for path in row["findings"]:
            typer.echo(f"  python -m spikequant.gen.fuzz.engine {name} {path}", err=True)
    if json_file is not None:
        write_json(json_file, {"ok": not wrong, "seconds": seconds, "targets": found})
    if wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(fuzz, name="spikequant.gen.fuzz")
