"""An accelerator in a simulator process that runs until it is closed."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import spikequant
from spikequant.cosim.simulator.build import BURST_TOP, SimulationError, build_bursts, keep_log
from spikequant.cosim.simulator.burst import (
    BURST_IN,
    BURST_OUT,
    CALM,
    BurstRequest,
    BurstState,
    Traffic,
    burst_bytes,
    recorded_packets,
)
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.device import Played
from spikequant.rtl.driver.packets import Words

IDLE_CYCLES = 200_000
"""Clock cycles without a word on either stream after which the accelerator counts as hung; no token takes as long."""

PROCESS = "spikequant.cosim.simulator.process"
"""Module that runs a test bench."""

POLL_SECONDS = 0.1

EXIT_SECONDS = 5
"""Time for the simulator to exit by itself, which normally takes a fraction of a second."""


def start_simulation(
    simulator: Path, top: str, bench: str, work: Path, arguments: Sequence[str], *, log: Path
) -> subprocess.Popen[bytes]:
    """Start a simulator on a test bench, in a process of its own.

    Its Python imports what this process can import, but nothing from the current folder.

    Args:
        simulator: folder of the build.
        top: top module of the build.
        bench: Python module of the test bench.
        work: folder to run in.
        arguments: plus-arguments of the simulator, ``name=value``.
        log: file for everything that the process prints.
    """
    own = Path(spikequant.__path__[0]).parent
    others = [path for path in sys.path if path and Path(path).resolve() not in {Path.cwd(), own}]
    environment = tool_environment() | {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([str(own), *others])}
    command = [sys.executable, "-m", PROCESS, str(simulator), top, bench, str(work), *arguments]
    with log.open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


class SimulatedDevice:
    """A ``Device`` in Verilator, at full speed: Python wakes only a few times a second.

    A context manager that ends the simulator.

    Args:
        spec: the accelerator.
        sources, options: its Verilog and build options, as in ``build_bursts``.
        arguments: plus-arguments of the simulator, ``name=value``.
        cache: root of the cache of simulator builds; the user's cache by default.
        traffic: pauses of every burst that is played without a ``traffic`` of its own.

    Attributes:
        simulator: folder of the build; its name contains a digest of everything that it was built from.
        folder: working directory of the simulator, with the files that it writes, until it is closed.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built or did not start.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        sources: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        arguments: Sequence[str] = (),
        cache: Path | None = None,
        traffic: Traffic = CALM,
    ) -> None:
        self.spec = spec
        self.simulator = build_bursts(spec, sources=sources, options=options, cache=cache)
        self._traffic = traffic
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spikequant-")))
            self._log = self.folder / "run.log"
            address = self.folder / "socket"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(address))
            listener.listen()
            self._process = start_simulation(
                self.simulator,
                BURST_TOP,
                "spikequant.cosim.simulator.bench",
                self.folder,
                [f"socket={address}", *arguments],
                log=self._log,
            )
            stack.callback(self._end_process)
            self._connection = stack.enter_context(self._accept(listener))
            self._stack = stack.pop_all()

    def _accept(self, listener: socket.socket) -> Connection:
        listener.settimeout(POLL_SECONDS)
        while self._process.poll() is None:
            try:
                connected, _ = listener.accept()
            except TimeoutError:
                continue
            connected.setblocking(True)
            return Connection(connected.detach())
        raise self._failure()

    def _failure(self) -> SimulationError:
        printed = self._log.read_text(encoding="utf-8", errors="replace")
        return SimulationError(f"the simulation failed, see {keep_log(printed)}")

    def _end_process(self) -> None:
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()

    def __enter__(self) -> Self:
        """Return the device."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the simulator."""
        self.close()

    def close(self) -> None:
        """End the simulator; has no effect if it has ended."""
        self._stack.close()

    def play(
        self,
        packets: Sequence[Words],
        results: int,
        *,
        progress: Callable[[int], None] = lambda _: None,
        traffic: Traffic | None = None,
    ) -> Played:
        """Send packets and wait for results, as ``Device.play`` does.

        Args:
            packets: words of each packet.
            results: RESULT packets to wait for.
            progress: called with the number of results received, a few times a second.
            traffic: pauses and an early end; results that are missing because of an early end are no hang.

        Raises:
            SimulationError: the accelerator hangs, or the simulator died.
        """
        (self.folder / BURST_IN).write_bytes(burst_bytes(list(packets)))
        try:
            self._connection.send(BurstRequest(results, IDLE_CYCLES, traffic or self._traffic))
            while True:
                state: BurstState = self._connection.recv()
                progress(state.results)
                if state.over:
                    break
        except (EOFError, OSError):
            raise self._failure() from None
        if state.hung:
            raise SimulationError(
                f"the accelerator hangs: {state.results} results after {state.cycles} cycles, expected {results}"
            )
        received = recorded_packets((self.folder / BURST_OUT).read_bytes())
        return Played(packets=received, cycles=state.cycles, seconds=state.seconds)
