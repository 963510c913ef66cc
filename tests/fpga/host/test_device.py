"""The real driver with the real top in Verilator, over a pseudo-terminal."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.link.line import LinkError, SerialLine
from spikequant.fpga.link.protocol import identify
from spikequant.fpga.link.session import Patience, Session
from spikequant.fpga.toolchain import ToolError
from spikequant.fpga.virtual.board import BAUD, VirtualBoard
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import LayerVectors, save_vectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.device import LayerRun

IMPATIENT = Patience(hello=1.0, silence=1.0, progress=2.0, port=1.0)
LIMIT = 120


def layer(spec: Spec, *, tokens: int = 4, seed: int = 3) -> LayerVectors:
    return random_vectors(spec, outputs=18, inputs=40, tokens=tokens, wide=5, max_shift=3, seed=seed)


def assert_right(run: LayerRun, vectors: LayerVectors, spec: Spec) -> None:
    expected = run_layer(vectors, spec)
    np.testing.assert_array_equal(run.output.membrane, expected.membrane)
    np.testing.assert_array_equal(run.output.code, expected.code)
    assert not run.output.saturated.any()


def test_layers_run_one_after_the_other_in_one_session(board_program: Path, small: Spec) -> None:
    seen = []
    with (
        VirtualBoard(board_program, seconds=LIMIT) as board,
        Accelerator(small, port=board.port, baud=BAUD) as accelerator,
    ):
        runs = []
        for seed in (1, 2):
            vectors = layer(small, seed=seed)
            runs.append(accelerator.run_layer(vectors, progress=lambda *counts: seen.append(counts)))
            assert_right(runs[-1], vectors, small)
        again = accelerator.run_layer(vectors)
        health = accelerator.health()
    assert (again.spikes, again.beats) == (runs[1].spikes, runs[1].beats) != (0, 0)
    assert seen[0] == (0, 12)
    assert seen[-1] == (12, 12)
    assert (health.board_damaged, health.host_damaged, health.board_overruns) == (0, 0, 0)
    assert health.cycles > runs[-1].cycles > 10_000


@pytest.mark.parametrize(("corrupt", "drop"), [(0.01, 0.0), (0.0, 0.01)])
def test_noise_costs_time_and_nothing_else(board_program: Path, small: Spec, corrupt: float, drop: float) -> None:
    vectors = layer(small)
    with (
        VirtualBoard(board_program, seconds=LIMIT, corrupt=corrupt, drop=drop, seed=7) as board,
        Accelerator(small, port=board.port, baud=BAUD) as accelerator,
    ):
        run = accelerator.run_layer(vectors)
        health = accelerator.health()
    assert_right(run, vectors, small)
    assert health.board_damaged > 10
    assert health.host_damaged > 10
    assert health.resent > 10


def test_a_cable_that_is_cut_and_plugged_in_again_costs_time_and_nothing_else(board_program: Path, small: Spec) -> None:
    vectors = layer(small, tokens=12)
    with (
        VirtualBoard(board_program, seconds=LIMIT) as board,
        Accelerator(small, port=board.port, baud=BAUD) as accelerator,
    ):
        cuts = iter((5, 20))
        due = next(cuts)

        def cut(done: int, _total: int) -> None:
            nonlocal due
            if done >= due:
                due = next(cuts, 1000)
                board.cut(0.2)
                time.sleep(0.1)

        run = accelerator.run_layer(vectors, progress=cut)
        health = accelerator.health()
    assert_right(run, vectors, small)
    assert health.reopened >= 2


@pytest.mark.parametrize("stop", [1, 7, 11])
def test_what_a_run_left_behind_is_not_taken_for_the_next_one(board_program: Path, small: Spec, stop: int) -> None:
    """The board freezes with results to send, and continues after its host has given up."""
    first, second = layer(small), layer(small, seed=9)
    with VirtualBoard(board_program, seconds=LIMIT) as board:

        def freeze(done: int, _total: int) -> None:
            if done >= stop:
                board.process.send_signal(signal.SIGSTOP)

        with Accelerator(small, port=board.port, baud=BAUD, patience=IMPATIENT) as accelerator:
            with pytest.raises(LinkError, match="silent"):
                accelerator.run_layer(first, progress=freeze)
            board.process.send_signal(signal.SIGCONT)
            with pytest.raises(LinkError, match=r"^port .*: an earlier error ended the session, expected a new one$"):
                accelerator.run_layer(second)
        with Accelerator(small, port=board.port, baud=BAUD) as accelerator:
            assert_right(accelerator.run_layer(second), second, small)
            with pytest.raises(ValueError, match=r"^results: 0 packets to wait for"):
                accelerator.play([], 0)


@pytest.mark.parametrize("cut_at", [7, 12])
def test_a_cut_that_is_longer_than_silence_may_last_is_no_silence(
    board_program: Path, small: Spec, cut_at: int
) -> None:
    """In the middle, and after the last result, when the counters are read."""
    vectors, patience = layer(small), replace(IMPATIENT, port=10.0)
    with (
        VirtualBoard(board_program, seconds=LIMIT) as board,
        Accelerator(small, port=board.port, baud=BAUD, patience=patience) as accelerator,
    ):

        def cut(done: int, _total: int) -> None:
            if done == cut_at:
                board.cut(2.5)
                time.sleep(0.1)

        assert_right(accelerator.run_layer(vectors, progress=cut), vectors, small)
        assert accelerator.health().reopened >= 1


def test_a_board_that_ends_is_told_with_its_last_words(board_program: Path, small: Spec) -> None:
    with VirtualBoard(board_program, seconds=LIMIT) as board:
        with (
            pytest.raises(ToolError, match=r"^virtual board: ended, status -9$"),
            board.report_end(),
            Accelerator(small, port=board.port, baud=BAUD, patience=IMPATIENT) as accelerator,
        ):
            accelerator.run_layer(layer(small), progress=lambda _done, _total: board.process.kill())
        board.cut(1.0)
    with VirtualBoard(board_program, seconds=0.2) as board:
        board.process.wait(timeout=10)
        with (
            pytest.raises(ToolError, match=r"^virtual board: ended, its time limit of 0.2 s is over$"),
            board.report_end(),
        ):
            Accelerator(small, port=board.port, baud=BAUD)


def test_a_port_that_stays_away_ends_the_run(board_program: Path, small: Spec) -> None:
    with (
        VirtualBoard(board_program, seconds=LIMIT) as board,
        Accelerator(small, port=board.port, baud=BAUD, patience=IMPATIENT) as accelerator,
    ):
        board.cut(60)
        time.sleep(0.1)
        with pytest.raises(
            LinkError, match=r"^port .*: lost, and not back within 1 s \(No such file or directory\)$"
        ) as caught:
            accelerator.run_layer(layer(small))
    assert "\n" not in str(caught.value)


HOST = """
import sys
from pathlib import Path
from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.virtual.board import BAUD
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import load_vectors
spec = Spec.model_validate_json(sys.argv[1])
vectors = load_vectors(Path(sys.argv[3]), spec)
with Accelerator(spec, port=sys.argv[2], baud=BAUD) as accelerator:
    print("begun", flush=True)
    accelerator.run_layer(vectors, progress=lambda done, _: print(done, flush=True))
"""


def test_a_host_that_is_killed_in_mid_upload_leaves_a_board_that_works(
    board_program: Path, small: Spec, tmp_path: Path
) -> None:
    save_vectors(tmp_path / "long.npz", layer(small, tokens=60))
    with VirtualBoard(board_program, seconds=LIMIT) as board:
        command = [sys.executable, "-c", HOST, small.model_dump_json(), board.port, str(tmp_path / "long.npz")]
        for patience in (0, 7):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
                assert host.stdout is not None
                while (line := host.stdout.readline().strip()) in {"begun", "0"} or int(line) < patience:
                    pass
                os.kill(host.pid, signal.SIGKILL)
            vectors = layer(small, seed=8)
            with Accelerator(small, port=board.port, baud=BAUD) as accelerator:
                assert_right(accelerator.run_layer(vectors), vectors, small)


def test_a_port_has_one_host_at_a_time(board_program: Path, small: Spec) -> None:
    with (
        VirtualBoard(board_program, seconds=LIMIT) as board,
        Accelerator(small, port=board.port, baud=BAUD),
        pytest.raises(InputError, match=r"^port .*: cannot be opened \(.*\), expected a free serial port$"),
    ):
        Accelerator(small, port=board.port, baud=BAUD)


def test_another_design_is_refused(board_program: Path, small: Spec) -> None:
    other = small.model_copy(update={"membrane_slots": 2})
    expected = rf"the board holds Accelerator [0-9a-f]{{16}}, expected Accelerator {identify('', other).digest:016x}: "
    with VirtualBoard(board_program, seconds=LIMIT) as board:
        with pytest.raises(InputError, match=expected) as caught:
            Accelerator(other, port=board.port, baud=BAUD)
        assert "\n" not in str(caught.value)
        line = SerialLine(board.port, BAUD)
        with pytest.raises(InputError, match=r"the board holds Accelerator .* expected MacTwin"):
            Session(line, replace(identify("Accelerator", small), name="MacTwin"))
        line.close()
        # the refused host has let go of the port
        Accelerator(small, port=board.port, baud=BAUD).close()


def test_a_port_with_nobody_behind_it_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^port /.*/none: cannot be opened \(No such file or directory\)"):
        Accelerator(PRESETS["tiny"], port=str(tmp_path / "none"), baud=BAUD)
    master, slave = os.openpty()
    try:
        with pytest.raises(LinkError, match=r": no answer at 1000000 bits a second within 1 s, expected a board with"):
            Accelerator(PRESETS["tiny"], port=os.ttyname(slave), baud=BAUD, patience=IMPATIENT)
    finally:
        os.close(master)
        os.close(slave)


def test_a_board_that_starts_afresh_is_not_taken_for_the_same(board_program: Path, small: Spec, tmp_path: Path) -> None:
    port = tmp_path / "port"
    vectors = layer(small)
    afresh = "the board restarted during the session, and its data is lost"
    for in_a_run in (True, False):
        with VirtualBoard(board_program, seconds=LIMIT) as first, VirtualBoard(board_program, seconds=LIMIT) as second:
            port.symlink_to(first.port)
            with Accelerator(small, port=str(port), baud=BAUD) as accelerator:
                accelerator.run_layer(vectors)

                def swap(first: VirtualBoard = first, second: VirtualBoard = second) -> None:
                    if port.readlink() == Path(first.port):
                        port.unlink()
                        port.symlink_to(second.port)
                        first.close()

                if not in_a_run:
                    swap()
                with pytest.raises(LinkError, match=afresh):
                    accelerator.run_layer(vectors, progress=lambda done, _: swap() if done >= 3 else None)
            port.unlink()


def test_a_board_that_answers_but_gives_nothing_is_given_up(board_program: Path, small: Spec) -> None:
    identity = identify("Accelerator", small)
    with VirtualBoard(board_program, seconds=LIMIT) as board:
        line = SerialLine(board.port, BAUD)
        session = Session(line, identity, patience=IMPATIENT)
        with pytest.raises(
            LinkError, match="the board answers, but accepted and sent no word for 2 s; 0 of 0 words sent"
        ):
            session.exchange([], results=1)
        session = Session(line, identity, patience=IMPATIENT)
        board.process.send_signal(signal.SIGSTOP)
        with pytest.raises(LinkError, match="the board has been silent for 1 s"):
            session.exchange([np.arange(5, dtype=np.uint32)], results=0)
        line.close()


def test_a_board_ends_with_its_host_or_its_time(board_program: Path) -> None:
    board = VirtualBoard(board_program, seconds=0.3)
    assert board.process.wait(timeout=10) == 0
    board.close()
    orphan = VirtualBoard(board_program, seconds=LIMIT)
    assert orphan.process.stdin is not None
    threading.Timer(0.2, orphan.process.stdin.close).start()
    assert orphan.process.wait(timeout=10) == 0
    orphan.process.stdin = None
    orphan.close()
