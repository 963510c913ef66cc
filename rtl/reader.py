"""The packet reader: weights and constants go to their memories, codes to the encoder, runs to the sequencer."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.fabric.carry import exceeds
from spikequant.rtl.fabric.queue import RegisterStage
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.interfaces import Write
from spikequant.rtl.neurons.neuron import parameter_write_layout
from spikequant.rtl.parity import PARITY_FAN_IN
from spikequant.rtl.shapes import (
    CodesHeader,
    NeuronsHeader,
    Operation,
    PacketWord,
    RunHeader,
    WeightsHeader,
    bits_for_index,
    codes_layout,
    run_layout,
)
from spikequant.rtl.synapse import row_write_layout


def _judged_layout() -> data.StructLayout:
    """A stream word, the packet that it opens if it is a header, and the rules that it then breaks, a bit for each.

    ``bad_run`` and ``bad_run_end`` are for the first and the second word of a RUN packet.
    """
    kinds = dict.fromkeys(("weights", "neurons", "codes", "run"), 1)
    bad = {"bad_weights": 1, "bad_neurons": 1, "bad_codes": 2, "bad_run": 3, "bad_run_end": 2}
    return data.StructLayout({"data": WORD_BITS, "last": 1} | kinds | bad)


_AFTER_HEADER = {"weights": "weights waits", "neurons": "neurons waits", "codes": "sort", "run": "run waits"}


class PacketReader(Component):
    """Checks packets and distributes their contents.

    WEIGHTS and NEURONS packets stall until the accelerator is ``idle``, so that nothing changes while a token runs. A
    RUN packet stalls while a score is ``sorting`` in its buffer, and until there is room downstream. A packet that
    breaks the rules is dropped from there to its end; CODES and RUN packets may break them by their headers alone,
    with an address, a shift, a slot, a half or a first input that do not exist.

    Latency: one cycle to codes, two to runs, three to constants, and four from a row's last word to its weights.
    Throughput: a word a cycle.
    Handshake: streams; a run is offered only when ``runs.ready`` was set, and only a run may take that room. Writes
    are never refused.

    Attributes:
        i: stream words.
        idle: no run is queued or in progress.
        sorting, sorting_buffer: a score is being made, in that buffer.
        weights: a write to the synapse memory.
        neuron: a write to the neurons' constants.
        codes: activation codes with their packet's header.
        runs: checked runs.
        taken: pulses with each word that is taken.
        malformed: pulses when a packet is dropped or cut.
        waiting: no packet has come in partly.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(PacketWord)),
                "idle": In(1),
                "sorting": In(1),
                "sorting_buffer": In(1),
                "weights": Out(Write(row_write_layout(spec))),
                "neuron": Out(Write(parameter_write_layout(spec))),
                "codes": Out(stream.Signature(codes_layout())),
                "runs": Out(stream.Signature(run_layout(spec))),
                "taken": Out(1),
                "malformed": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Check a word, then use it in the state for its kind."""
        m = Module()
        spec = self._spec
        judged = self._judge(m)
        word, valid, last = judged.payload, judged.valid, judged.payload.last
        word_bits = bits_for_index(spec.score_words)
        # the first word of a two-word header, and whether it breaks a rule
        opening = Signal(WORD_BITS, reset_less=True)
        opening_is_bad = Signal()
        codes_header = Signal(CodesHeader, reset_less=True)
        checked = unreset(m, self.runs.payload, "checked")
        run = data.View(RunHeader, Cat(opening, word.data))
        m.d.comb += [
            self.codes.payload.header.eq(codes_header),
            self.codes.payload.codes.eq(word.data),
            self.codes.payload.final.eq(last),
        ]
        malformed, begins, stores, loads = (
            Signal(name=name) for name in ("malformed_now", "begins", "stores", "loads")
        )
        # rows and neurons are assembled one cycle later
        previous = Signal.like(word, name="word_behind", reset_less=True)
        was_malformed = Signal()
        begun = Signal()
        storing = Signal()
        loading = Signal()
        m.d.sync += [
            previous.eq(word),
            was_malformed.eq(malformed),
            begun.eq(begins),
            storing.eq(stores),
            loading.eq(loads),
        ]
        row_is_bad, row_waits = self._rows(m, previous, begins=begun, stores=storing)
        neuron_is_bad = self._neurons(m, previous, begins=begun, loads=loading)
        m.d.sync += self.malformed.eq(was_malformed | (storing & row_is_bad) | (loading & neuron_is_bad))
        with m.If(self.runs.ready):
            m.d.sync += self.runs.valid.eq(0)
        # a register, valid once the last run has left
        room = Signal(name="room_for_a_run")
        m.d.sync += room.eq(self.runs.ready & ~self.runs.valid)
        # registers for the states that take every word, and for the one that takes codes
        takes, delivers = Signal(init=1, name="takes"), Signal(name="delivers")
        m.d.comb += [
            judged.ready.eq(takes | (delivers & self.codes.ready)),
            self.codes.valid.eq(valid & delivers),
            self.taken.eq(valid & judged.ready),
        ]

        def go(state: str) -> None:
            m.next = state
            m.d.sync += [takes.eq(not state.endswith("waits") and state != "codes"), delivers.eq(state == "codes")]

        with m.FSM() as states:
            with m.State("header"):
                m.d.comb += [
                    begins.eq(1),
                    malformed.eq(valid & (last | ~(word.weights | word.neurons | word.codes | word.run))),
                ]
                breaks_rule = Mux(word.codes, word.bad_codes.any(), word.bad_run.any())
                m.d.sync += [opening.eq(word.data), opening_is_bad.eq(breaks_rule)]
                with m.If(valid & ~last):
                    go("drop")
                    for kind, state in _AFTER_HEADER.items():
                        with m.If(word[kind]):
                            go(state)
            # stalls have states of their own, which keeps the path from one word to the next short
            for state in ("weights", "neurons"):
                with m.State(f"{state} waits"), m.If(self.idle & ~self.runs.valid):
                    go(state)
            with m.State("run waits"):
                free = ~self.sorting | (self.sorting_buffer != run.buffer)
                with m.If(free & room):
                    go("run")
            with m.State("weights"):
                m.d.comb += [stores.eq(valid)]
                with m.If(self.taken & last):
                    go("header")
            with m.State("neurons"):
                m.d.comb += [loads.eq(valid)]
                with m.If(self.taken & last):
                    go("header")
            with m.State("sort"):
                m.d.comb += [malformed.eq(valid & (last | opening_is_bad))]
                m.d.sync += codes_header.eq(Cat(opening, word.data))
                with m.If(self.taken):
                    go("codes")
                    with m.If(opening_is_bad):
                        go("drop")
                    with m.If(last):
                        go("header")
            with m.State("run"):
                m.d.comb += [malformed.eq(valid & (opening_is_bad | word.bad_run_end.any() | ~last))]
                m.d.sync += [
                    checked.address.eq(Cat(run.address[:word_bits], run.buffer)),
                    checked.first_row.eq((run.input >> (spec.pairs.bit_length() - 1)) + 1),
                    checked.first.eq(run.first),
                    checked.last.eq(run.last),
                    checked.half.eq(run.half),
                    checked.shift.eq(run.shift),
                    checked.slot.eq(run.slot),
                    checked.brief.eq(run.brief),
                    self.runs.valid.eq(valid & ~malformed),
                ]
                with m.If(valid):
                    go("header")
                    with m.If(~last):
                        go("drop")
            for state in ("codes", "drop"):
                with m.State(state), m.If(self.taken & last):
                    go("header")
        m.d.comb += self.waiting.eq(
            states.ongoing("header") & ~valid & ~storing & ~row_waits & ~self.weights.enable & ~self.runs.valid
        )
        return m

    def _judge(self, m: Module) -> Any:
        """The stream of words with their checks, in registers."""
        spec = self._spec
        m.submodules.judged = judged = RegisterStage(_judged_layout())
        word = judged.i.payload
        coming = self.i.payload
        lane_bits = spec.lanes.bit_length() - 1
        word_bits = bits_for_index(spec.score_words)
        weights, neurons = data.View(WeightsHeader, coming.data), data.View(NeuronsHeader, coming.data)
        # the fields of either word of a header, as if both words were this one
        codes, run = (
            data.View(CodesHeader, Cat(coming.data, coming.data)),
            data.View(RunHeader, coming.data.replicate(2)),
        )

        def opens_no_row(index: Value) -> Value:
            return exceeds(index, spec.depth - 1) | index[:lane_bits].any()

        m.d.comb += [
            judged.i.valid.eq(self.i.valid),
            self.i.ready.eq(judged.i.ready),
            word.data.eq(coming.data),
            word.last.eq(coming.last),
            word.weights.eq(weights.operation == Operation.WEIGHTS),
            word.neurons.eq(weights.operation == Operation.NEURONS),
            word.codes.eq(weights.operation == Operation.CODES),
            word.run.eq(weights.operation == Operation.RUN),
            word.bad_weights.eq(opens_no_row(weights.input)),
            word.bad_neurons.eq(exceeds(neurons.neuron, spec.neurons - 1)),
            word.bad_codes.eq(Cat(exceeds(codes.shift, spec.max_salient_shift), codes.address[word_bits:].any())),
            word.bad_run.eq(
                Cat(
                    exceeds(run.slot, spec.membrane_slots - 1),
                    exceeds(run.shift, spec.max_salient_shift),
                    run.half.as_value().all(),
                )
            ),
            word.bad_run_end.eq(Cat(run.address[word_bits:].any(), opens_no_row(run.input))),
        ]
        return judged.o

    def _rows(self, m: Module, word: data.View, *, begins: Signal, stores: Signal) -> tuple[Value, Signal]:
        """Assemble words into rows.

        Returns:
            Whether this word is out of place, and whether a word is about to be stored in its row.
        """
        spec = self._spec
        lane_bits = spec.lanes.bit_length() - 1
        beyond = Signal(name="beyond_rows")
        index = Signal(range(spec.depth))
        place = Signal(spec.words_per_row, init=1)
        ends = place[-1]
        with m.If(begins):
            m.d.sync += [place.eq(1), index.eq(data.View(WeightsHeader, word.data).input), beyond.eq(word.bad_weights)]
        with m.Elif(stores):
            m.d.sync += place.eq(place.rotate_left(1))
            with m.If(ends):
                m.d.sync += [index.eq(index + 1), beyond.eq(beyond | (index == spec.depth - 1))]

        storing = Signal(name="row_waits")
        completes = Signal()
        stored = Signal(WORD_BITS, reset_less=True)
        stored_place = Signal(spec.words_per_row, reset_less=True)
        weights = Signal(spec.neurons * spec.weight_bits, reset_less=True)
        m.d.sync += [
            storing.eq(stores),
            stored.eq(word.data),
            stored_place.eq(place & stores.replicate(spec.words_per_row)),
            completes.eq(stores & ends & ~beyond),
            self.weights.enable.eq(completes),
        ]
        m.d.comb += self.weights.data.weights.eq(weights)
        for number in range(spec.words_per_row):
            with m.If(stored_place[number]):
                m.d.sync += weights[number * WORD_BITS : (number + 1) * WORD_BITS].eq(stored)
        if spec.weight_parity:
            self._parity(m, word.data, stored_place)
        pair = Signal.like(self.weights.data.pair)
        memory_row = Signal.like(self.weights.data.row)
        m.d.sync += [
            pair.eq(index[:lane_bits] >> (spec.pair_lanes - 1)),
            # after the row of zeros
            memory_row.eq(Cat(index[: spec.pair_lanes - 1], index[lane_bits:]) + 1),
            self.weights.data.pair.eq(pair),
            self.weights.data.row.eq(memory_row),
        ]
        return beyond | (word.last & ~ends), storing

    def _parity(self, m: Module, word: Value, stored_place: Signal) -> None:
        """Parity of each word of a row, at the same time as its weights."""
        parts = Signal(WORD_BITS // PARITY_FAN_IN, reset_less=True)
        parity = Signal(self._spec.words_per_row, reset_less=True)
        m.d.sync += parts.eq(Cat(word.word_select(part, PARITY_FAN_IN).xor() for part in range(len(parts))))
        for number in range(self._spec.words_per_row):
            with m.If(stored_place[number]):
                m.d.sync += parity[number].eq(parts.xor())
        m.d.comb += self.weights.data.parity.eq(parity)

    def _neurons(self, m: Module, word: data.View, *, begins: Signal, loads: Signal) -> Value:
        """Assemble three words into constants.

        Returns:
            Whether this word is out of place.
        """
        spec = self._spec
        beyond = Signal(name="beyond_neurons")
        neuron = Signal(range(spec.neurons))
        field = Signal(3, init=1)
        ends = field[-1]
        writing = unreset(m, self.neuron.data, "writing")
        constants = writing.parameters
        middle = Signal(WORD_BITS, reset_less=True)
        with m.If(begins):
            m.d.sync += [
                field.eq(1),
                neuron.eq(data.View(NeuronsHeader, word.data).neuron),
                beyond.eq(word.bad_neurons),
            ]
        m.d.sync += self.neuron.enable.eq(loads & ends & ~beyond)
        with m.If(loads):
            m.d.sync += [
                field.eq(field.rotate_left(1)),
                # a shift register of three words
                constants.zero.eq(word.data),
                middle.eq(word.data),
                constants.bias.eq(middle),
                constants.theta.eq(constants.bias),
                writing.neuron.eq(neuron),
            ]
            with m.If(ends):
                m.d.sync += [neuron.eq(neuron + 1), beyond.eq(beyond | (neuron == spec.neurons - 1))]
        return beyond | (word.last & ~ends)
