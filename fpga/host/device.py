"""The accelerator on a board, as the host uses it."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from spikequant.fpga.baked.program import baked_program
from spikequant.fpga.link.line import SerialLine
from spikequant.fpga.link.protocol import identify
from spikequant.fpga.link.session import Health, Patience, Session
from spikequant.fpga.sdram.layout import StoredLayer, place_layer, store_layer
from spikequant.fpga.sdram.program import streamed_program
from spikequant.fpga.sdram.timing import SdramChip
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.accelerator import Accelerator as Design
from spikequant.rtl.driver.device import LayerRun, Played, run_on_device, run_program
from spikequant.rtl.driver.packets import PacketError, Words, parse_result


class Accelerator:
    """An accelerator behind a serial port, as a device. A context: leave it, and the port is free again.

    An error or an interrupt in the middle of a run ends the session: what would come back then may be the old run's.
    Open another one for the next run.

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
        self._stored: list[StoredLayer] = []
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
            LinkError: the board does not answer, or the session has ended.
        """
        return self._session.health()

    def play(
        self, packets: Sequence[Words], results: int, *, progress: Callable[[int], None] = lambda _: None
    ) -> Played:
        """Send packets, and wait for results; cycles are counted to 2,048, waiting for the line included.

        Args:
            packets: words of each packet; they load all that they use.
            results: RESULT packets to wait for, one at least.
            progress: told the number of results that are in.

        Raises:
            LinkError: the board cannot be reached, does not do its part, or the session has ended.
            PacketError: the last result is broken.
            ValueError: there is no result to wait for.
        """
        if results < 1:
            raise ValueError("no result to wait for, expected one at least")
        before = self.health().cycles
        began = time.perf_counter()
        received = self._session.exchange(packets, results=results, progress=progress)
        seconds = time.perf_counter() - began
        played = Played(
            received,
            cycles=self.health().cycles - before,
            seconds=seconds,
            spikes_before=self._spikes,
            beats_before=self._beats,
        )
        # the accelerator counts from the session's beginning
        try:
            last = parse_result(self.spec, received[-1])
        except PacketError:
            self._session.end()
            raise
        self._spikes, self._beats = last.spikes, last.beats
        return played

    def run_layer(
        self, vectors: LayerVectors, *, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> LayerRun:
        """Load a layer of any size, run its tokens, and read the results.

        Args:
            vectors: the layer and its tokens.
            progress: told the results that are in, and how many there will be.

        Raises:
            LinkError: the board cannot be reached, does not do its part, or the session has ended.
            PacketError: the accelerator refused a packet or sent a broken one.
        """
        return run_on_device(self, vectors, progress=progress)

    def run_baked(
        self, vectors: LayerVectors, *, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> LayerRun:
        """Run tokens on a layer whose weights came with the bitstream, and none of which was loaded since.

        Args:
            vectors: the layer and its tokens.
            progress: told the results that are in, and how many there will be.

        Raises:
            InputError: no bitstream of this spec holds all of the layer's weights.
            LinkError: the board cannot be reached, does not do its part, or the session has ended.
            PacketError: the accelerator refused a packet or sent a broken one.
        """
        return run_program(self, baked_program(self.spec, vectors), vectors, progress=progress)

    @property
    def _free(self) -> int:
        """Address behind all layers that are there."""
        return max((stored.place.end for stored in self._stored), default=0)

    def has_room(self, vectors: LayerVectors) -> bool:
        """The board has a memory, and the layer fits behind those that are there."""
        place = place_layer(self.spec, vectors, address=self._free)
        return self._chip is not None and place.fits(self._chip)

    def store_layer(self, vectors: LayerVectors) -> StoredLayer:
        """Upload a layer's weights and constants into the board's memory, behind those that are there.

        They stay until the board is switched off, or its bitstream is loaded again; sessions come and go. The board
        does not know what it holds: another session has to be told, by ``keep_layer``, or stores from the start again.

        Raises:
            InputError: the bitstream has no memory, or the layer does not fit any more.
            LinkError: the board cannot be reached, does not do its part, or the session has ended.
        """
        stored = store_layer(self.spec, vectors, chip=self._memory(), address=self._free)
        self._session.exchange(stored.packets(), results=0)
        self._stored.append(stored)
        return stored

    def keep_layer(self, stored: StoredLayer) -> None:
        """Count on a layer that an earlier session stored: it can be run, and nothing is stored over it.

        Args:
            stored: as ``store_layer`` gave it.

        Raises:
            InputError: the bitstream has no memory, or one that is too small, the layer is of another spec, or
                another one lies there.
        """
        if not stored.place.fits(self._memory()) or stored.place.spec != self.spec:
            raise InputError("memory: the layer was stored for another board, expected one of this spec and memory")
        for other in self._stored:
            if other.place.overlaps(stored.place):
                raise InputError(
                    f"memory: the layer at word {stored.place.address} overlaps with that at {other.place.address}, "
                    "expected layers that were stored together"
                )
        self._stored.append(stored)

    def _memory(self) -> SdramChip:
        if self._chip is None:
            raise InputError("memory: the bitstream has none, expected one that was made with a memory")
        return self._chip

    def run_stored(
        self,
        stored: StoredLayer,
        vectors: LayerVectors,
        *,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> LayerRun:
        """Run tokens on a layer that the board's memory holds, without the rows of inputs that none of them uses.

        Args:
            stored: as ``store_layer`` gave it, or given to ``keep_layer``.
            vectors: the same layer and its tokens.
            progress: told the results that are in, and how many there will be.

        Raises:
            LinkError: the board cannot be reached, does not do its part, or the session has ended.
            PacketError: the accelerator refused a packet or sent a broken one.
            ValueError: the memory holds another layer, or this session neither stored nor kept this one.
        """
        if not any(one is stored for one in self._stored):
            raise ValueError("the layer was neither stored nor kept in this session")
        return run_program(self, streamed_program(stored, vectors), vectors, progress=progress)
