"""A layer on the virtual board while its line is disturbed.

The board's complete top runs in Verilator, as Verilog or as a netlist, behind the real driver and a pseudo-terminal.
Nothing wrong may be accepted: each run is complete and right, or ends with the reason.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from spikequant.cosim.netlist import Stage
from spikequant.cosim.scoreboard import Verdict, compare
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.link.line import LinkError, PortLostError
from spikequant.fpga.link.session import Health, Patience
from spikequant.fpga.virtual.board import BAUD, VirtualBoard, build_virtual_board
from spikequant.gen.commands.layer_choice import CheckpointFolder, LayerName, VectorsFile, check_one_layer, chosen_layer
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec, load_spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import check_writable, write_json
from spikequant.golden.support.options import CacheFolder, JsonFile, SpecName
from spikequant.golden.support.progress import progress_bar
from spikequant.rtl.driver.packets import PacketError

SHARE = 0.01
"""Of the bytes, both ways, that a noisy line changes or swallows."""

CUT_SECONDS = 0.3
"""For which the port is away, again and again, as long as the layer runs."""

CUT_EVERY = 3.0
"""Seconds from one cut to the next."""

POLL_SECONDS = 0.1
"""Between two looks at a host that has not begun."""

GONE = Patience(port=2.0)
"""Of a host whose port does not come back."""


@dataclass(frozen=True)
class Outcome:
    """A run on a line that was disturbed in one way.

    Attributes:
        trial: which way.
        verdict: on the outputs; None where the run ended early.
        disturbed: what the disturbance did was counted by host or board, or the port is gone as was meant.
        reason: why the run ended early; empty if it did not.
        lost: that the port was gone is why.
        may_end: it was to end so.
        health: counters of host and board; None where the run ended early.
        seconds: of the run.
    """

    trial: str
    verdict: Verdict | None
    disturbed: bool
    reason: str
    lost: bool
    may_end: bool
    health: Health | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Disturbed as intended, and complete and right, or ended where nothing else was possible."""
        if self.may_end:
            return self.disturbed and self.lost
        return self.disturbed and self.verdict is not None and self.verdict.ok(allow_saturation=False)

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True)
class Bench:
    """What all trials share.

    Attributes:
        program: of the virtual board.
        spec: of its accelerator.
        vectors: the layer and its tokens.
        expected: its outputs.
        seed: of the noise.
        seconds: after which a board ends by itself.
    """

    program: Path
    spec: Spec
    vectors: LayerVectors
    expected: LayerOutput
    seed: int
    seconds: float

    def board(self, *, corrupt: float = 0.0, drop: float = 0.0) -> VirtualBoard:
        """A board whose line changes and swallows these shares of the bytes."""
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
        """The layer through the driver.

        Args:
            trial: which way the line is disturbed.
            board: with the line.
            during: a block around the run, within the session.
            progress: told the results that are in, and how many there will be.
            disturbed: says by the counters whether the run was.
            patience: of the host.
            may_end: the run is to end early, because the port is gone.

        Raises:
            ToolError: the board itself has ended.
        """
        began = time.perf_counter()
        output, health, reason, lost = None, None, "", False
        try:
            with (
                board.told_if_it_ends(),
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
    """Nothing is damaged, and nothing sent again for that."""
    with bench.board() as board:
        return bench.run("undisturbed", board, disturbed=lambda health: not health.board_damaged + health.host_damaged)


def _noisy(trial: str, bench: Bench, board: VirtualBoard) -> Outcome:
    with board:
        return bench.run(trial, board, disturbed=lambda health: health.board_damaged > 0 and health.host_damaged > 0)


def corrupted(bench: Bench) -> Outcome:
    """Bytes are changed."""
    return _noisy(f"{SHARE:.0%} of the bytes changed", bench, bench.board(corrupt=SHARE))


def dropped(bench: Bench) -> Outcome:
    """Bytes are swallowed."""
    return _noisy(f"{SHARE:.0%} of the bytes lost", bench, bench.board(drop=SHARE))


@contextmanager
def _cuts(board: VirtualBoard) -> Iterator[None]:
    """The port goes and comes again and again until the end of the block."""
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
    """The cable is pulled and plugged in again."""
    with bench.board() as board:
        return bench.run(
            "port cut and re-opened", board, during=_cuts(board), disturbed=lambda health: health.reopened > 0
        )


def gone(bench: Bench) -> Outcome:
    """The cable is pulled for good."""
    with bench.board() as board:
        pulled = threading.Event()

        def pull(done: int, total: int) -> None:
            if done >= total // 2 and not pulled.is_set():
                board.cut(bench.seconds)
                pulled.set()

        outcome = bench.run("port gone", board, progress=pull, patience=GONE, may_end=True)
        return replace(outcome, disturbed=pulled.is_set())


def _doomed_host(spec: Spec, port: str, vectors: LayerVectors, begun: Event) -> None:
    def tell(done: int, total: int) -> None:
        if done >= total // 2:
            begun.set()

    with Accelerator(spec, port=port, baud=BAUD) as accelerator:
        accelerator.run_layer(vectors, progress=tell)


def killed(bench: Bench) -> Outcome:
    """The host is killed in mid-upload, and another one comes."""
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    with bench.board() as board:
        host = context.Process(target=_doomed_host, args=(bench.spec, board.port, bench.vectors, begun))
        host.start()
        while host.is_alive() and not begun.wait(POLL_SECONDS):
            pass
        died = host.is_alive()
        host.kill()
        host.join()
        return bench.run("host killed, another one", board, disturbed=lambda _: begun.is_set() and died)


TRIALS: Mapping[str, Callable[[Bench], Outcome]] = {
    "undisturbed": undisturbed,
    "corrupted": corrupted,
    "dropped": dropped,
    "cut": cut,
    "killed": killed,
    "gone": gone,
}
"""By the names of the command line."""


def outcomes_table(outcomes: list[Outcome]) -> Table:
    """What each trial gave."""
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


def main(
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="real tokens to run through the layer")] = 2,
    netlist: Annotated[
        Stage | None,
        typer.Option(help="the board is a netlist: behind synthesis, or placed and routed", show_default=False),
    ] = None,
    trials: Annotated[
        list[str] | None,
        typer.Option("--trial", metavar="NAME", help=f"{', '.join(TRIALS)}; may be repeated; all by default"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the noise")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="time after which a board ends")] = 3600.0,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Run a layer on the virtual board while its line is disturbed, in one way after the other.

    Exit status 0 if each run was disturbed as intended and is complete and right, or ended with a reason where the
    port is gone for good; 1 if not; 2 for bad input.
    """
    check_one_layer("disturbed", vectors=vectors, checkpoint=checkpoint, layer=layer)
    chosen = trials or list(TRIALS)
    unknown = [name for name in chosen if name not in TRIALS]
    if unknown:
        raise InputError(f"disturbed: unknown trial {unknown[0]!r}, expected some of {', '.join(TRIALS)}")
    spec = load_spec(config)
    if json_file is not None:
        check_writable(json_file)
    name, integers = chosen_layer(spec, vectors=vectors, checkpoint=checkpoint, layer=layer, tokens=tokens)
    outcomes: list[Outcome] = []
    with progress_bar() as bar:
        task = bar.add_task("building the virtual board", total=len(chosen))
        program = build_virtual_board(spec, netlist=netlist, cache=cache)
        bench = Bench(program, spec, integers, run_layer(integers, spec), seed=seed, seconds=seconds)
        for trial in chosen:
            bar.update(task, completed=len(outcomes), description=trial)
            outcomes.append(TRIALS[trial](bench))
            ok = len(outcomes) == len(chosen) and all(outcome.ok for outcome in outcomes)
            if json_file is not None:
                figures = {"ok": ok, "layer": name, "config": config, "netlist": netlist, "seed": seed}
                write_json(json_file, figures | {"trials": [outcome.figures() for outcome in outcomes]})
    Console().print(outcomes_table(outcomes))
    for outcome in outcomes:
        if outcome.reason:
            typer.echo(f"{outcome.trial}: {outcome.reason}")
    if not ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(main, name="spikequant.gen.commands.line_faults")
