"""Properties of progress: requests are served within a bounded number of cycles under fair streams."""

from collections.abc import Iterator
from functools import partial

from amaranth.hdl import Cat, Fragment, Module, Signal, Value

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import Harness, anything, before, check, inner, suppose
from spikequant.cosim.formal.property import Bounded, Method, Property, Reachable
from spikequant.cosim.formal.streams import TINY
from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.packet_sizes import result_words
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.sequencer import Sequencer
from spikequant.rtl.writer import PacketWriter

PAUSE = 1
"""Largest number of cycles that a fair stream pauses."""


def fair(m: Module, name: str) -> Signal:
    """Return a free bit that is never 0 for more than ``PAUSE`` cycles."""
    free = anything(m, 1, name)
    paused = Signal(range(PAUSE + 2), name=f"{name}_paused")
    m.d.sync += paused.eq(0)
    with m.If(~free):
        m.d.sync += paused.eq(paused + (paused <= PAUSE))
    suppose(m, free | (paused < PAUSE))
    return free


def comes(m: Module, wanted: Value, happens: Value, within: int, message: str) -> None:
    """Check that ``happens`` follows ``wanted`` in less than ``within`` cycles."""
    waited = Signal(range(within + 1))
    m.d.sync += waited.eq(0)
    with m.If(wanted & ~happens):
        m.d.sync += waited.eq(waited + (waited != within))
    check(m, waited != within, message)


class ReaderProgress(Harness):
    """A reader with fair surroundings."""

    def __init__(self, within: int) -> None:
        self._within = within

    def describe(self, m: Module) -> None:
        """Offer any words at any time."""
        m.submodules.component = reader = PacketReader(TINY)
        m.d.comb += [
            reader.i.valid.eq(anything(m, 1, "valid")),
            reader.i.payload.as_value().eq(anything(m, reader.i.payload.shape().size, "payload")),
            reader.idle.eq(fair(m, "idle")),
            reader.sorting.eq(~fair(m, "sorted")),
            reader.sorting_buffer.eq(anything(m, 1, "sorting_buffer")),
            reader.codes.ready.eq(fair(m, "codes")),
            reader.runs.ready.eq(fair(m, "runs")),
        ]
        # only a run takes the room for a run, and no score is made without codes
        suppose(m, reader.runs.ready | ~before(m, reader.runs.ready & ~reader.runs.valid, "there_was_room"))
        taken = reader.codes.valid & reader.codes.ready
        suppose(m, ~reader.sorting | before(m, reader.sorting | taken, "may_be_sorting"))
        comes(m, reader.i.valid, reader.i.ready, self._within, "a word that is offered is taken")


def packet_cycles(spec: Spec) -> int:
    """Return the cycles from a packet's request to its last word, with a pause before and after each word."""
    return 2 * (1 + PAUSE) * result_words(spec) + 2


class WriterProgress(Harness):
    """A writer with fair streams of results and words."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def describe(self, m: Module) -> None:
        """Request packets at any time."""
        m.submodules.component = writer = PacketWriter(self._spec)
        m.d.comb += [
            writer.packets.valid.eq(anything(m, 1, "packet")),
            writer.packets.payload.as_value().eq(anything(m, writer.packets.payload.shape().size, "payload")),
            writer.o.ready.eq(fair(m, "ready")),
        ]
        for number, words in enumerate(writer.words):
            m.d.comb += words.valid.eq(fair(m, f"words_{number}"))
        waits = writer.packets.valid & ~writer.packets.ready
        was_waiting = Signal()
        m.d.sync += was_waiting.eq(waits)
        suppose(m, writer.packets.valid | ~was_waiting)
        within = packet_cycles(self._spec)
        comes(m, writer.packets.valid, writer.packets.ready, within, "a requested packet is written")


class SequencerProgress(Harness):
    """A sequencer with arbitrary scores, and neurons that are fair."""

    def __init__(self, spec: Spec, *, beats: int, within: int) -> None:
        self._spec = spec
        self._beats = beats
        self._within = within

    def describe(self, m: Module) -> None:
        """Offer runs that begin so close to the end of a buffer that they have few beats."""
        spec = self._spec
        m.submodules.component = sequencer = Sequencer(spec)
        run = sequencer.runs.payload
        m.d.comb += [
            sequencer.runs.valid.eq(anything(m, 1, "run")),
            run.as_value().eq(anything(m, run.shape().size, "particulars")),
            sequencer.neurons_busy.eq(~fair(m, "neurons")),
        ]
        suppose(m, run.address[: len(run.address) - 1] >= spec.score_words - self._beats)
        alone = ~sequencer.idle & ~sequencer.runs.valid
        comes(m, alone, sequencer.idle, self._within, "runs end if no other one is offered")


class AcceleratorProgress(Harness):
    """The accelerator with arbitrary input and a fair output stream.

    A word may wait hundreds of cycles for all earlier runs. But these consist of a bounded number of steps, such as
    beats of a score, ends of its phases and words of results, and each step soon follows the previous one.
    """

    def __init__(self, spec: Spec, within: int) -> None:
        self._spec = spec
        self._within = within

    def describe(self, m: Module) -> None:
        """Offer any words at any time, with arbitrary scores from before the reset."""
        device = Accelerator(self._spec)
        m.submodules.component = fragment = Fragment.get(device, None)
        m.d.comb += [
            device.s_axis_tvalid.eq(anything(m, 1, "tvalid")),
            device.s_axis_tdata.eq(anything(m, WORD_BITS, "tdata")),
            device.s_axis_tlast.eq(anything(m, 1, "tlast")),
            device.m_axis_tready.eq(fair(m, "tready")),
        ]
        steps = [
            device.s_axis_tready,
            device.m_axis_tvalid & device.m_axis_tready,
            inner(fragment, "stepped"),
            inner(fragment, "ended"),
            inner(fragment, "encoder.writer.write_enable"),
        ]
        comes(
            m,
            device.s_axis_tvalid,
            Cat(steps).any(),
            self._within,
            "while a word waits, the accelerator makes progress",
        )


def properties() -> Iterator[Property]:
    """Return properties of reader, writer, sequencer, and accelerator."""

    def progress(name: str, component: str, what: str, method: Method, harness: partial[Harness]) -> Property:
        return Property(
            name=f"progress.{name}",
            component=component,
            specification=what,
            method=method,
            circuit=partial(around, harness),
            solver="abc",
        )

    small = Spec(
        neurons=8, lanes=1, depth=4, activation_bits=2, salient_bits=0, max_salient_shift=0, population_bits=6,
        ramp=4, membrane_slots=1, membrane_bits=8, output_bits=2, score_words=16,
    )  # fmt: skip
    word = 10
    yield progress(
        "reader",
        "PacketReader, tiny",
        f"a word is taken within {word} cycles under fair streams",
        Reachable(),
        partial(ReaderProgress, word),
    )
    written = packet_cycles(small)
    yield progress(
        "writer",
        "PacketWriter, 8 neurons",
        f"a packet is written within {written} cycles under fair streams",
        Reachable(),
        partial(WriterProgress, small),
    )
    beats, run = 2, 60
    yield progress(
        "sequencer",
        f"Sequencer, runs of at most {beats} beats, of any content",
        f"runs come to their end within {run} cycles under fair neurons",
        Bounded(run + 10),
        partial(SequencerProgress, small, beats=beats, within=run),
    )
    whole = 50
    yield progress(
        "accelerator",
        "Accelerator, 8 neurons x 1 lane, 4 inputs",
        f"while a word waits, a step is made every {whole} cycles under a fair receiver",
        Bounded(80),
        partial(AcceleratorProgress, small, whole),
    )
