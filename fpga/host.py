"""The accelerator on a board, as the host uses it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from fpga.line import SerialLine
from fpga.protocol import identify
from fpga.sdram.layout import StoredLayer, store_layer
from fpga.sdram.program import streamed_program
from fpga.sdram.timing import SdramChip
from fpga.session import Health, Patience, Session
from golden.errors import InputError
from golden.integer import LayerOutput
from golden.spec import Spec
from golden.vectors import LayerVectors
from rtl.accelerator import Accelerator as Design
from rtl.packets import parse_result
from rtl.program import LayerProgram, gather, layer_program


@dataclass(frozen=True)
class LayerRun:
    """A layer that has run on a board.

    Attributes:
        output: what the board gave.
        spikes, beats: of this layer, as the board counted them.
        cycles: clock cycles from the first packet to the last result, waiting for the line included, give or take
            2,048.
        seconds: the same on the host's clock.
        health: the counters behind it.
    """

    output: LayerOutput
    spikes: int
    beats: int
    cycles: int
    seconds: float
    health: Health


class Accelerator:
    """An accelerator behind a serial port. A context: leave it, and the port is free again.

    Example:
        with Accelerator(load_spec("base"), port="/dev/ttyUSB0", baud=1_000_000) as accelerator:
            output = accelerator.run_layer(vectors).output
    """

    def __init__(
        self, spec: Spec, *, port: str, baud: int, chip: SdramChip | None = None, patience: Patience | None = None
    ) -> None:
        """Open the port and a session with the board.

        Args:
            spec: of the accelerator.
            port: where the board is.
            baud: bits a second.
            chip: the memory in front of the accelerator, if the bitstream has one.
            patience: how long to wait.

        Raises:
            InputError: the port cannot be opened, or the board does not hold this spec's accelerator.
            LinkError: nobody answers.
        """
        self.spec = spec
        self._chip = chip
        self._stored_words = 0
        self._spikes = self._beats = 0
        self._line = SerialLine(port, baud)
        try:
            self._session = Session(self._line, identify(Design.__name__, spec, chip=chip), patience=patience)
        except BaseException:
            self._line.close()
            raise

    def __enter__(self) -> "Accelerator":
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port."""
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._line.close()

    def health(self) -> Health:
        """The error counters of board and host.

        Raises:
            LinkError: the board does not answer.
        """
        return self._session.health()

    def run_layer(
        self, vectors: LayerVectors, *, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> LayerRun:
        """Load a layer of any size, run its tokens, and read the results.

        Args:
            vectors: the layer and its tokens.
            progress: told the results that are in, and how many there will be.

        Raises:
            LinkError: the board cannot be reached, or does not do its part.
            PacketError: the accelerator refused a packet or sent a broken one.
        """
        return self._run(layer_program(self.spec, vectors), vectors, progress)

    def store_layer(self, vectors: LayerVectors) -> StoredLayer:
        """Upload a layer's weights and constants into the board's memory, behind those that are there.

        They stay until the board is switched off, or its bitstream is loaded again; sessions come and go.

        Raises:
            InputError: the bitstream has no memory, or the layer does not fit any more.
            LinkError: the board cannot be reached, or does not do its part.
        """
        if self._chip is None:
            raise InputError("memory: the bitstream has none, expected one that was made with a memory")
        stored = store_layer(self.spec, vectors, chip=self._chip, address=self._stored_words)
        self._session.exchange(stored.packets(), results=0)
        self._stored_words = stored.place.end
        return stored

    def run_stored(
        self,
        stored: StoredLayer,
        vectors: LayerVectors,
        *,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> LayerRun:
        """Run tokens on a layer that the board's memory holds, without the rows of inputs that none of them uses.

        Args:
            stored: as ``store_layer`` gave it.
            vectors: the same layer and its tokens.
            progress: told the results that are in, and how many there will be.

        Raises:
            LinkError: the board cannot be reached, or does not do its part.
            PacketError: the accelerator refused a packet or sent a broken one.
            ValueError: the memory holds another layer.
        """
        return self._run(streamed_program(stored, vectors), vectors, progress)

    def _run(self, program: LayerProgram, vectors: LayerVectors, progress: Callable[[int, int], None]) -> LayerRun:
        total = len(program.places)
        progress(0, total)
        before = self.health().cycles
        began = time.perf_counter()
        packets = self._session.exchange(program.packets, results=total, progress=lambda done: progress(done, total))
        seconds = time.perf_counter() - began
        health = self.health()
        results = [parse_result(self.spec, packet) for packet in packets]
        # the accelerator counts from the session's beginning, in 32 bits
        spikes, beats = (results[-1].spikes - self._spikes) % 2**32, (results[-1].beats - self._beats) % 2**32
        self._spikes, self._beats = results[-1].spikes, results[-1].beats
        return LayerRun(
            output=gather(vectors, program.places, results),
            spikes=spikes,
            beats=beats,
            cycles=health.cycles - before,
            seconds=seconds,
            health=health,
        )
