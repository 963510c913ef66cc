"""A bitstream for every board, and whether a second build gives the same: ``python -m fpga.every_board``."""

# The command imports what it needs when it runs, so that --help answers at once; its options have names anyway.
# ruff: noqa: PLC0415, PLR0917

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fpga.boards import BOARDS, Board, find_board
from fpga.build import find_tools
from fpga.synth import STEPS_BESIDE_SEEDS, SynthResult, run_synth
from fpga.toolchain import ToolError, usable_cores
from gen.cache import default_cache_folder
from golden.command_line import run_command
from golden.files import check_writable, writable_folder, write_json
from golden.progress import progress_bar
from golden.spec import load_spec
from rtl.accelerator import Accelerator

BAUD = 1_000_000
"""Bits a second on the serial line of every build."""


@dataclass(frozen=True)
class Built:
    """A board's bitstream.

    Attributes:
        config: preset or file of the accelerator.
        result: of the build.
        again: SHA-256 of the bitstream of a second build, by tools that ran anew; None if there was none.
    """

    config: str
    result: SynthResult
    again: str | None

    @property
    def sha256(self) -> str | None:
        """Of the bitstream; None where it is too slow."""
        return self.result.bitstream.sha256 if self.result.bitstream else None

    @property
    def ok(self) -> bool:
        """Fast enough, and the same whenever it was built."""
        return self.sha256 is not None and self.again in {None, self.sha256}

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"config": self.config, **self.result.figures(), "second_sha256": self.again, "ok": self.ok}


def build_board(
    board: Board,
    config: str,
    *,
    frequency_hz: float,
    seeds: Sequence[int],
    jobs: int,
    twice: bool,
    out: Path,
    cache: Path,
    progress: Callable[[str], None],
) -> Built:
    """Build an accelerator for a board; a second build, if one is wanted, finds nothing in the cache.

    Raises:
        InputError: the spec is none, or the board cannot hold it.
        ToolError: a tool failed.
    """
    spec = load_spec(config)
    tools = find_tools()

    def build(out: Path, cache: Path) -> SynthResult:
        return run_synth(
            lambda: Accelerator(spec),
            board=board,
            tools=tools,
            frequency_hz=frequency_hz,
            baud=BAUD,
            seeds=seeds,
            jobs=jobs,
            allow_timing_failure=False,
            out=out,
            cache=cache,
            progress=progress,
        )

    result = build(out, cache)
    again = None
    if twice and result.bitstream is not None:
        with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
            second = build(Path(work) / "out", Path(work) / "cache")
            again = second.bitstream.sha256 if second.bitstream else "none"
    return Built(config, result, again)


def boards_table(built: Sequence[Built]) -> Table:
    """What each board's bitstream takes and reaches."""
    table = Table(title="Bitstreams; the clock is the accelerator's")
    for heading in ("board", "device", "accelerator"):
        table.add_column(heading, no_wrap=True)
    for heading in ("LUTs", "FFs", "EBRs", "DSPs", "MHz", "wanted", "seed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("SHA-256", "second build"):
        table.add_column(heading, no_wrap=True)
    for one in built:
        chosen = one.result.chosen
        used, critical = chosen.report.used, chosen.report.critical
        table.add_row(
            one.result.plan.board.name,
            one.result.plan.board.device,
            one.config,
            *(str(count) for count in (used.luts, used.ffs, used.ebrs, used.dsps)),
            f"{critical.achieved_mhz:.1f}",
            f"{critical.wanted_mhz:.1f}" + ("" if one.result.timing_met else ", MISSED"),
            str(chosen.seed),
            one.sha256[:16] if one.sha256 else "-",
            "-" if one.again is None else "the same" if one.again == one.sha256 else "ANOTHER",
        )
    return table


def main(
    boards: Annotated[
        list[str] | None, typer.Option("--board", metavar="NAME", help="which, may be repeated; all by default")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="PRESET|FILE", help="accelerator; each part's own preset by default", show_default=False),
    ] = None,
    frequency: Annotated[float, typer.Option(metavar="MHZ", min=0.001, help="clock of the accelerator")] = 60.0,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="place and route from seeds 1..N")] = 1,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="seeds at a time; as many as there are cores", show_default=False)
    ] = None,
    twice: Annotated[bool, typer.Option("--twice", help="build again without the cache, and compare")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="bitstreams and logs, a folder a board")] = Path(
        "build/boards"
    ),
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="where results of earlier runs are", show_default=False)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures here")] = None,
) -> None:
    """Make a bitstream for every board, each with the accelerator that is sized for its part.

    What is built is kept; a run that is broken off goes on. Exit status 0 if all are fast enough, and the same twice
    where that is asked for, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    chosen = [find_board(name) for name in boards or BOARDS]
    configs = [config or board.preset for board in chosen]
    for name in configs:
        load_spec(name)
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    built: list[Built] = []
    steps = (seeds + STEPS_BESIDE_SEEDS) * (2 if twice else 1)
    with progress_bar() as bar:
        task = bar.add_task("elaborating", total=steps * len(chosen))
        for number, (board, name) in enumerate(zip(chosen, configs, strict=True)):
            bar.update(task, completed=number * steps)
            built.append(
                build_board(
                    board,
                    name,
                    frequency_hz=frequency * 1e6,
                    seeds=range(1, seeds + 1),
                    jobs=jobs or usable_cores(),
                    twice=twice,
                    out=out / board.name,
                    cache=cache or default_cache_folder(),
                    progress=lambda step: bar.update(task, advance=1, description=f"{board.name}: {step}"),  # noqa: B023 - called within
                )
            )
            if json_file is not None:
                write_json(json_file, {"ok": False, "boards": [done.figures() for done in built]})
        bar.update(task, completed=steps * len(chosen))
    ok = all(one.ok for one in built)
    if json_file is not None:
        write_json(json_file, {"ok": ok, "boards": [one.figures() for one in built]})
    Console().print(boards_table(built))
    for one in built:
        if one.result.bitstream is None:
            typer.echo(f"timing: {one.result.plan.board.name}: {one.result.shortfall()}", err=True)
    if not ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main, name="fpga.every_board", failures=(ToolError,))
