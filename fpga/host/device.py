"""The accelerator on a board, as a device of the host."""

import time
from collections.abc import Callable, Sequence

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
    """An accelerator on a serial port, as a device; a context manager that closes the port.

    An error or an interrupt during a run ends the session, because later results may belong to that run. Open another
    one for the next run.

    Example:
        with Accelerator(load_spec("base"), port="/dev/ttyUSB0", baud=1_000_000) as accelerator:
            output = accelerator.run_layer(vectors).output
    """

    def __init__(
        self, spec: Spec, *, port: str, baud: int, chip: SdramChip | None = None, patience: Patience | None = None
    ) -> None:
        """Open the port and a session with the board.

        Args:
            spec: the accelerator.
            port: name of the serial port.
            baud: bits a second.
            chip: the board's SDRAM, if the bitstream uses it.
            patience: time limits.

        Raises:
            InputError: the port cannot be opened, or the board does not hold this spec's accelerator.
            LinkError: no answer.
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
        """Return the accelerator."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the port."""
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._line.close()

    def health(self) -> Health:
        """Read the error counters of board and host.

        Raises:
            LinkError: the board does not answer, or the session has ended.
        """
        return self._session.health()

    def play(
        self, packets: Sequence[Words], results: int, *, progress: Callable[[int], None] = lambda _: None
    ) -> Played:
        """Send packets, and wait for results; cycles have a resolution of 2,048 and include waiting for the line.

        Args:
            packets: words of each packet; they must load all that they use.
            results: RESULT packets to wait for, at least one.
            progress: called with the number of results received.

        Raises:
            LinkError: the board cannot be reached or breaks the protocol, or the session has ended.
            PacketError: the last result is malformed.
            ValueError: ``results`` is less than one.
        """
        if results < 1:
            raise ValueError("results: 0 packets to wait for, expected at least 1")
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
        # the accelerator counts from the beginning of the session
        try:
            last = parse_result(self.spec, received[-1])
        except PacketError:
            self._session.end()
            raise
        self._spikes, self._beats = last.spikes, last.beats
        return played

    def run_layer(
        self,
        vectors: LayerVectors,
        *,
        brief: bool = False,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> LayerRun:
        """Load a layer of any size, run its tokens, and read the results.

        Args:
            vectors: the layer and its tokens.
            brief: results have no membranes, which shortens them to about an eighth.
            progress: called with the number of results received, and of all results.

        Raises:
            LinkError: the board cannot be reached or breaks the protocol, or the session has ended.
            PacketError: the accelerator refused a packet or sent a malformed one.
        """
        return run_on_device(self, vectors, brief=brief, progress=progress)

    def run_baked(
        self, vectors: LayerVectors, *, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> LayerRun:
        """Run tokens on a layer whose weights are in the bitstream; no weights may have been loaded since.

        Args:
            vectors: the layer and its tokens.
            progress: called with the number of results received, and of all results.

        Raises:
            InputError: the synapse memory does not hold all of the layer's weights.
            LinkError: the board cannot be reached or breaks the protocol, or the session has ended.
            PacketError: the accelerator refused a packet or sent a malformed one.
        """
        return run_program(self, baked_program(self.spec, vectors), vectors, progress=progress)

    @property
    def _free(self) -> int:
        """Address after all stored layers."""
        return max((stored.place.end for stored in self._stored), default=0)

    def has_room(self, vectors: LayerVectors) -> bool:
        """Whether the board has a memory, and the layer fits after the stored ones."""
        place = place_layer(self.spec, vectors, address=self._free)
        return self._chip is not None and place.fits(self._chip)

    def store_layer(self, vectors: LayerVectors) -> StoredLayer:
        """Upload a layer's weights and constants into the board's memory, after the stored ones.

        They stay there, over several sessions, until the board is switched off or its bitstream is loaded again. The
        board keeps no directory: in another session call ``keep_layer``, else storing starts again at address 0.

        Raises:
            InputError: the bitstream has no memory, or the layer does not fit.
            LinkError: the board cannot be reached or breaks the protocol, or the session has ended.
        """
        stored = store_layer(self.spec, vectors, chip=self._memory(), address=self._free)
        self._session.exchange(stored.packets(), results=0)
        self._stored.append(stored)
        return stored

    def keep_layer(self, stored: StoredLayer) -> None:
        """Use a layer that ``store_layer`` stored in an earlier session: it can be run and is not overwritten.

        Raises:
            InputError: the bitstream has no memory or a smaller one, the layer is for another spec, or it overlaps
                with another layer.
        """
        if not stored.place.fits(self._memory()) or stored.place.spec != self.spec:
            raise InputError("memory: the layer was stored for another board, expected the same spec and memory")
        for other in self._stored:
            if other.place.overlaps(stored.place):
                raise InputError(
                    f"memory: the layer at word {stored.place.address} overlaps with the one at {other.place.address}, "
                    "expected layers that were stored together"
                )
        self._stored.append(stored)

    def _memory(self) -> SdramChip:
        if self._chip is None:
            raise InputError("memory: the bitstream has none, expected one that was built with --memory")
        return self._chip

    def run_stored(
        self,
        stored: StoredLayer,
        vectors: LayerVectors,
        *,
        brief: bool = False,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> LayerRun:
        """Run tokens on a layer in the board's memory, without the rows of inputs that are silent for all tokens.

        Args:
            stored: the layer, from ``store_layer`` or given to ``keep_layer``.
            vectors: the same layer and its tokens.
            brief: as for ``run_layer``.
            progress: called with the number of results received, and of all results.

        Raises:
            LinkError: the board cannot be reached or breaks the protocol, or the session has ended.
            PacketError: the accelerator refused a packet or sent a malformed one.
            ValueError: the memory holds another layer, or the layer was neither stored nor kept in this session.
        """
        if not any(one is stored for one in self._stored):
            raise ValueError("the layer was neither stored nor kept in this session")
        return run_program(self, streamed_program(stored, vectors, brief=brief), vectors, progress=progress)
