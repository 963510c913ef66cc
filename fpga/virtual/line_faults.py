"""Runs of a layer on the virtual board while its line is disturbed.

The board's complete top runs in Verilator, as Verilog or as a netlist, and the real driver reaches it through a
pseudo-terminal. No wrong result may be accepted: each run is complete and right, or ends with the reason.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

from pydantic import computed_field
from rich.table import Table

from spikequant.cosim.netlist import Stage
from spikequant.cosim.scoreboard import Verdict, compare
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.link.line import LinkError, PortLostError
from spikequant.fpga.link.session import Health, Patience
from spikequant.fpga.virtual.board import BAUD, VirtualBoard
from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.rtl.driver.packets import PacketError

SHARE = 0.01
"""Share of the bytes, both ways, that a noisy line changes or drops."""

CUT_SECONDS = 0.3
"""Length of each interruption of the port."""

CUT_EVERY = 3.0
"""Seconds from one interruption to the next."""

POLL_SECONDS = 0.1
"""Interval at which a host that has not begun is polled."""

GONE = Patience(port=2.0)
"""Patience of a host whose port does not come back."""


class Outcome(Figures):
    """A run on a line that was disturbed in one way.

    Attributes:
        trial: description of the disturbance.
        verdict: comparison of the outputs; None if the run ended early.
        disturbed: host or board counted the disturbance, or the port was removed as intended.
        reason: why the run ended early; empty if it did not.
        lost: it ended early because the port was gone.
        may_end: it was meant to end early for that reason.
        health: counters of host and board; None if the run ended early.
        seconds: wall time of the run.
    """

    trial: str
    verdict: Verdict | None
    disturbed: bool
    reason: str
    lost: bool
    may_end: bool
    health: Health | None
    seconds: float

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def ok(self) -> bool:
        """Disturbed as intended, and complete and right, or ended early where nothing else was possible."""
        if self.may_end:
            return self.disturbed and self.lost
        return self.disturbed and self.verdict is not None and self.verdict.ok(allow_saturation=False)


class LineFaultFigures(Figures):
    """Outcomes of the finished trials; ``ok`` if all trials are finished and ok."""

    ok: bool
    layer: str
    config: str
    netlist: Stage | None
    seed: int
    trials: list[Outcome]


@dataclass(frozen=True)
class Bench:
    """Parameters that all trials share.

    Attributes:
        program: program of the virtual board.
        spec: spec of its accelerator.
        vectors: the layer and its tokens.
        expected: its outputs.
        seed: seed of the noise.
        seconds: time limit of a board.
    """

    program: Path
    spec: Spec
    vectors: LayerVectors
    expected: LayerOutput
    seed: int
    seconds: float

    def board(self, *, corrupt: float = 0.0, drop: float = 0.0) -> VirtualBoard:
        """A board whose line changes and drops these shares of the bytes."""
        return VirtualBoard(self.program, seconds=self.seconds, seed=self.seed, corrupt=corrupt, drop=drop)

    def run(
        self,
        trial: str,
        board: VirtualBoard,
        *,
        during: AbstractContextManager[object] | None = None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        disturbed: Callable[[Health], bool] = lambda _: True,
        patience: Patience | None = None,
        may_end: bool = False,
    ) -> Outcome:
        """Run the layer through the driver.

        Args:
            trial: description of the disturbance.
            board: a running board.
            during: context around the run, within the session.
            progress: called with the number of results received, and of all results.
            disturbed: whether the counters show the disturbance.
            patience: time limits of the host.
            may_end: the run is meant to end early, because the port is gone.

        Raises:
            ToolError: the board itself ended.
        """
        began = time.perf_counter()
        output, health, reason, lost = None, None, "", False
        try:
            with (
                board.report_end(),
                Accelerator(self.spec, port=board.port, baud=BAUD, patience=patience) as accelerator,
            ):
                with during or nullcontext():
                    output = accelerator.run_layer(self.vectors, progress=progress).output
                health = accelerator.health()
        except (InputError, LinkError, PacketError) as error:
            reason, lost = str(error), isinstance(error, PortLostError)
        return Outcome(
            trial=trial,
            verdict=None if output is None else compare(self.expected, output),
            disturbed=health is not None and disturbed(health),
            reason=reason,
            lost=lost,
            may_end=may_end,
            health=health,
            seconds=time.perf_counter() - began,
        )


def undisturbed(bench: Bench) -> Outcome:
    """Run on an undisturbed line: no frame is damaged."""
    with bench.board() as board:
        return bench.run("undisturbed", board, disturbed=lambda health: not health.board_damaged + health.host_damaged)


def noisy(trial: str, bench: Bench, *, corrupt: float = 0.0, drop: float = 0.0) -> Outcome:
    """Change or drop these shares of the bytes, both ways."""
    with bench.board(corrupt=corrupt, drop=drop) as board:
        return bench.run(trial, board, disturbed=lambda health: health.board_damaged > 0 and health.host_damaged > 0)


@contextmanager
def _cuts(board: VirtualBoard) -> Iterator[None]:
    """Interrupt the port at regular intervals until the end of the block."""
    done = threading.Event()

    def cut() -> None:
        pause = 0.0
        while not done.wait(pause):
            board.cut(CUT_SECONDS)
            pause = CUT_EVERY

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def cut(bench: Bench) -> Outcome:
    """Unplug the cable and plug it in again."""
    with bench.board() as board:
        return bench.run(
            "port cut and re-opened", board, during=_cuts(board), disturbed=lambda health: health.reopened > 0
        )


def gone(bench: Bench) -> Outcome:
    """Unplug the cable for good."""
    with bench.board() as board:
        pulled = threading.Event()

        def pull(done: int, total: int) -> None:
            if done >= total // 2 and not pulled.is_set():
                board.cut(bench.seconds)
                pulled.set()

        outcome = bench.run("port gone", board, progress=pull, patience=GONE, may_end=True)
        return outcome.model_copy(update={"disturbed": pulled.is_set()})


def _doomed_host(spec: Spec, port: str, vectors: LayerVectors, begun: Event) -> None:
    def signal_half(done: int, total: int) -> None:
        if done >= total // 2:
            begun.set()

    with Accelerator(spec, port=port, baud=BAUD) as accelerator:
        accelerator.run_layer(vectors, progress=signal_half)


def killed(bench: Bench) -> Outcome:
    """Kill the host in mid-upload, and connect another one."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    with bench.board() as board:
        host = context.Process(target=_doomed_host, args=(bench.spec, board.port, bench.vectors, begun))
        host.start()
        try:
            while host.is_alive() and not begun.wait(POLL_SECONDS):
                pass
            alive = host.is_alive()
        finally:
            host.kill()
            host.join()
        return bench.run("host killed, another one", board, disturbed=lambda _: begun.is_set() and alive)


TRIALS: Mapping[str, Callable[[Bench], Outcome]] = {
    "undisturbed": undisturbed,
    "corrupted": partial(noisy, f"{SHARE:.0%} of the bytes changed", corrupt=SHARE),
    "dropped": partial(noisy, f"{SHARE:.0%} of the bytes lost", drop=SHARE),
    "cut": cut,
    "killed": killed,
    "gone": gone,
}
"""Trials by name."""


def run_trials(
    trials: Sequence[str],
    bench: Bench,
    *,
    layer: str,
    config: str,
    netlist: Stage | None,
    progress: Callable[[str], None] = lambda _trial: None,
    keep: Callable[[LineFaultFigures], None] = lambda _figures: None,
) -> LineFaultFigures:
    """Run trials of ``TRIALS`` one after the other.

    The names of layer, config and netlist are for the figures. ``progress`` is called with the name of each trial as
    it begins, ``keep`` with the figures so far after each trial.

    Raises:
        ToolError: a board ended.
    """
    figures = LineFaultFigures(ok=False, layer=layer, config=config, netlist=netlist, seed=bench.seed, trials=[])
    for trial in trials:
        progress(trial)
        outcomes = [*figures.trials, TRIALS[trial](bench)]
        ok = len(outcomes) == len(trials) and all(outcome.ok for outcome in outcomes)
        figures = figures.model_copy(update={"ok": ok, "trials": outcomes})
        keep(figures)
    return figures


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Outcome of each trial, for a terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("line", no_wrap=True)
    for heading in ("outputs", "wrong", "damaged", "again", "reopened", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in outcomes:
        verdict, health = one.verdict, one.health
        outputs = (verdict.outputs, verdict.mismatches) if verdict else ("-", "-")
        counts: tuple[object, ...] = ("-", "-", "-")
        if health:
            again = health.resent + health.asked_again
            counts = (health.board_damaged + health.host_damaged, again, health.reopened)
        outcome = ("ended" if one.may_end else "right") if one.ok else "FAILED"
        table.add_row(one.trial, *map(str, (*outputs, *counts)), f"{one.seconds:.1f}", outcome)
    return table
