"""A bitstream for every board, and whether a second build gives the same."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.table import Table

from spikequant.fpga.boards import DEFAULT_BAUD, Board
from spikequant.fpga.build.build import Tools
from spikequant.fpga.synth import STEPS_BESIDE_SEEDS, SynthFigures, SynthResult, run_synth
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.support.figures import Figures
from spikequant.rtl.accelerator import Accelerator


class BoardFigures(SynthFigures):
    """A board's build.

    Attributes:
        second_sha256: digest of the bitstream of a second build; None if there was none.
        ok: the timing is met, and both builds give the same bitstream.
    """

    second_sha256: str | None
    ok: bool


class BoardsFigures(Figures):
    """Builds for boards; ``ok`` if all of them are finished and ok."""

    ok: bool
    boards: list[BoardFigures]


@dataclass(frozen=True)
class BoardBuild:
    """A board's build.

    Attributes:
        result: the first build.
        again: SHA-256 of the bitstream of a second build that found nothing in the cache, ``none`` if that made no
            bitstream; None if there was no second build.
    """

    result: SynthResult
    again: str | None

    @property
    def sha256(self) -> str | None:
        """Digest of the bitstream; None if the timing fails."""
        return self.result.bitstream.sha256 if self.result.bitstream else None

    @property
    def ok(self) -> bool:
        """Whether the timing is met, and both builds give the same bitstream."""
        return self.sha256 is not None and self.again in {None, self.sha256}

    def figures(self) -> BoardFigures:
        """The figures of the build."""
        return BoardFigures(**self.result.figures().model_dump(), second_sha256=self.again, ok=self.ok)


def steps_per_board(seeds: int, *, twice: bool) -> int:
    """Calls of ``progress`` in ``build_boards`` for each board."""
    return (seeds + STEPS_BESIDE_SEEDS) * (2 if twice else 1)


def build_boards(
    configs: Mapping[Board, str],
    *,
    tools: Tools,
    frequency_hz: float,
    seeds: Sequence[int],
    jobs: int,
    twice: bool,
    out: Path,
    cache: Path,
    progress: Callable[[Board, str], None] = lambda _board, _step: None,
    keep: Callable[[BoardsFigures], None] = lambda _figures: None,
) -> list[BoardBuild]:
    """Build an accelerator for each board, one after the other; ``configs`` names its preset or file.

    With ``twice``, each build is repeated with an empty cache. Bitstreams and logs go to a folder for each board in
    ``out``. ``progress`` is called with each step, ``keep`` with the figures so far after each board. The other
    arguments are those of ``run_synth``.

    Raises:
        InputError: an invalid spec, or a board that cannot hold its accelerator.
        ToolError: a tool failed.
    """
    built: list[BoardBuild] = []
    for board, config in configs.items():
        build = partial(
            run_synth,
            partial(Accelerator, load_spec(config)),
            config=config,
            board=board,
            tools=tools,
            frequency_hz=frequency_hz,
            baud=DEFAULT_BAUD,
            seeds=seeds,
            jobs=jobs,
            allow_timing_failure=False,
            progress=partial(progress, board),
        )
        result = build(out=out / board.name, cache=cache)
        again = None
        if twice and result.bitstream is not None:
            with tempfile.TemporaryDirectory(prefix="spikequant-") as work:
                second = build(out=Path(work) / "out", cache=Path(work) / "cache")
                again = second.bitstream.sha256 if second.bitstream else "none"
        built.append(BoardBuild(result, again))
        keep(boards_figures(built, expected=len(configs)))
    return built


def boards_figures(built: Sequence[BoardBuild], *, expected: int) -> BoardsFigures:
    """Figures of the builds so far, of ``expected`` in all."""
    ok = len(built) == expected and all(one.ok for one in built)
    return BoardsFigures(ok=ok, boards=[one.figures() for one in built])


def boards_table(built: Sequence[BoardBuild]) -> Table:
    """Resources, speed and digest of each board's bitstream, for a terminal."""
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
            Path(one.result.config).name,
            *(str(count) for count in (used.luts, used.ffs, used.ebrs)),
            f"{critical.achieved_mhz:.1f}",
            f"{critical.wanted_mhz:.1f}",
            str(chosen.seed),
            one.sha256[:8] if one.sha256 else "too slow",
            "-" if one.again is None else "same" if one.again == one.sha256 else "OTHER",
        )
    return table
