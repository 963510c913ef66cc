"""A bitstream for every board, and whether a second build gives the same: ``python -m gen.commands.every_board``."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from spikequant.fpga.boards import BOARDS, DEFAULT_BAUD, Board, find_board
from spikequant.fpga.build.build import Tools, find_tools
from spikequant.fpga.synth import STEPS_BESIDE_SEEDS, SynthResult, run_synth
from spikequant.fpga.toolchain import usable_cores
from spikequant.golden.layer.spec import Spec, load_spec
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.files import check_writable, writable_folder, write_json
from spikequant.golden.support.options import CacheFolder, JsonFile
from spikequant.golden.support.progress import progress_bar
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.accelerator import Accelerator


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
    spec: Spec,
    *,
    tools: Tools,
    frequency_hz: float,
    seeds: Sequence[int],
    jobs: int,
    twice: bool,
    out: Path,
    cache: Path,
    progress: Callable[[str], None],
) -> Built:
    """Build an accelerator for a board; a second build, if one is wanted, finds nothing in the cache.

    Args:
        board: what to build for.
        config: preset or file that the spec comes from.
        spec: of the accelerator.
        tools: with what.
        frequency_hz: of the accelerator's clock, as near as the PLL comes.
        seeds: of the placements; the best is kept.
        jobs: seeds at a time.
        twice: build again.
        out: folder for the bitstream and the logs.
        cache: where results of earlier runs are.
        progress: told of each step.

    Raises:
        InputError: the board cannot hold the accelerator.
        ToolError: a tool failed.
    """

    def build(out: Path, cache: Path) -> SynthResult:
        return run_synth(
            lambda: Accelerator(spec),
            board=board,
            tools=tools,
            frequency_hz=frequency_hz,
            baud=DEFAULT_BAUD,
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
    table = Table(title="Bitstreams; the clock is the accelerator's", box=None, pad_edge=False)
    for heading in ("board", "spec"):
        table.add_column(heading, no_wrap=True)
    for heading in ("LUTs", "FFs", "EBRs", "MHz", "wanted", "seed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("SHA-256", "again"):
        table.add_column(heading, no_wrap=True)
    for one in built:
        chosen = one.result.chosen
        used, critical = chosen.report.used, chosen.report.critical
        table.add_row(
            one.result.plan.board.name,
            Path(one.config).name,
            *(str(count) for count in (used.luts, used.ffs, used.ebrs)),
            f"{critical.achieved_mhz:.1f}",
            f"{critical.wanted_mhz:.1f}",
            str(chosen.seed),
            one.sha256[:8] if one.sha256 else "too slow",
            "-" if one.again is None else "same" if one.again == one.sha256 else "OTHER",
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
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Make a bitstream for every board, each with the accelerator that is sized for its part.

    What is built is kept; a run that is broken off goes on. Exit status 0 if all are fast enough, and the same twice
    where that is asked for, 1 if not, 2 for bad input.
    """
    chosen = [find_board(name) for name in boards or BOARDS]
    configs = [config or board.preset for board in chosen]
    specs = [load_spec(name) for name in configs]
    tools = find_tools()
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    built: list[Built] = []

    def ok() -> bool:
        return len(built) == len(chosen) and all(one.ok for one in built)

    steps = (seeds + STEPS_BESIDE_SEEDS) * (2 if twice else 1)
    with progress_bar() as bar:
        task = bar.add_task("elaborating", total=steps * len(chosen))

        def advance(board: Board, step: str) -> None:
            bar.update(task, advance=1, description=f"{board.name}: {step}")

        for board, name, spec in zip(chosen, configs, specs, strict=True):
            bar.update(task, completed=len(built) * steps)
            built.append(
                build_board(
                    board,
                    name,
                    spec,
                    tools=tools,
                    frequency_hz=frequency * 1e6,
                    seeds=range(1, seeds + 1),
                    jobs=jobs or usable_cores(),
                    twice=twice,
                    out=out / board.name,
                    cache=cache or default_cache_folder(),
                    progress=partial(advance, board),
                )
            )
            if json_file is not None:
                write_json(json_file, {"ok": ok(), "boards": [done.figures() for done in built]})
        bar.update(task, completed=steps * len(chosen))
    Console().print(boards_table(built))
    for one in built:
        if one.result.bitstream is None:
            typer.echo(f"timing: {one.result.plan.board.name}: {one.result.shortfall()}", err=True)
    if not ok():
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main, name="spikequant.gen.commands.every_board")
