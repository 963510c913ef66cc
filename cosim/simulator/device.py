"""An accelerator in a simulator process that lives as long as it is needed."""

import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

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
from spikequant.cosim.simulator.job import Recording
from spikequant.cosim.simulator.runner import start_simulation
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packets import Words

IDLE_CYCLES = 200_000
"""Longer than any token takes: with no word in or out for so long, the accelerator hangs."""

POLL_SECONDS = 0.1

LEAVE_SECONDS = 5
"""For the simulator to end by itself, which it does within a fraction of a second."""


class SimulatedDevice:
    """A ``Device`` in Verilator, at full speed: Python wakes a few times a second only.

    A context manager; at its end the simulator is gone.

    Args:
        spec: the accelerator.
        sources, options: its Verilog and options of the build, as ``build_bursts`` takes them.
        arguments: plus-arguments of the simulator, ``name=value``.
        cache: where simulator builds are kept; the user's own cache by default.

    Attributes:
        simulator: folder of the build; its name is a digest of all that went into it.
        folder: where the simulator runs and writes its files, as long as it lives.

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
    ) -> None:
        self.spec = spec
        self.simulator = build_bursts(spec, sources=sources, options=options, cache=cache)
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
                "spikequant.cosim.simulator.burst",
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
            self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()

    def __enter__(self) -> Self:
        """The device."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the simulator."""
        self.close()

    def close(self) -> None:
        """End the simulator; harmless when it has ended."""
        self._stack.close()

    def play(
        self,
        packets: Sequence[Words],
        results: int,
        *,
        progress: Callable[[int], None] = lambda _: None,
        traffic: Traffic = CALM,
    ) -> Recording:
        """As ``Device`` says.

        Args:
            packets: as there.
            results: as there.
            progress: as there.
            traffic: pauses, and an end in the middle; what is then missing is no hang.

        Raises:
            SimulationError: the accelerator hangs, or the simulator died.
        """
        (self.folder / BURST_IN).write_bytes(burst_bytes(list(packets)))
        try:
            self._connection.send(BurstRequest(results=results, idle_cycles=IDLE_CYCLES, traffic=traffic))
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
        return Recording(packets=received, cycles=state.cycles, seconds=state.seconds)
