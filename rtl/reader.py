"""Incoming packets: weights and constants to their memories, codes to the encoder."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import WORD_BITS, Spec
from rtl.fabric import exceeds
from rtl.neuron import parameter_write_layout
from rtl.shapes import (
    CodesHeader,
    NeuronsHeader,
    Operation,
    RunHeader,
    WeightsHeader,
    bits_for_index,
    codes_layout,
    run_layout,
    word_layout,
)
from rtl.synapse import row_write_layout


class PacketReader(Component):
    """Takes packets apart.

    WEIGHTS and NEURONS packets wait until the accelerator is ``idle``, so that nothing changes under a
    token on its way. A RUN packet waits for the score that is being made in its buffer. A packet that breaks the
    rules is dropped from there to its end; CODES and RUN packets may break them by their headers alone, with an
    address, a shift, a slot, a half or a first input that do not exist.

    Latency: none, and one cycle for runs and rows of weights; a row is written when its last word is taken.

    Attributes:
        i: stream words.
        idle: no token is on its way.
        sorting, sorting_buffer: a score is being made, in that buffer.
        weights, weights_enable: a write to the synapse memory.
        neuron, neuron_enable: a write to the neurons' constants.
        codes: activation codes with their packet's header.
        runs: checked runs.
        malformed: pulses when a packet is dropped or cut.
        waiting: no packet is half way in.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(word_layout())),
                "idle": In(1),
                "sorting": In(1),
                "sorting_buffer": In(1),
                "weights": Out(row_write_layout(spec)),
                "weights_enable": Out(1),
                "neuron": Out(parameter_write_layout(spec)),
                "neuron_enable": Out(1),
                "codes": Out(stream.Signature(codes_layout())),
                "runs": Out(stream.Signature(run_layout(spec))),
                "malformed": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """One state for each kind of word."""
        m = Module()
        spec = self._spec
        word = self.i.payload.data
        last = self.i.payload.last
        taken = self.i.valid & self.i.ready
        lane_bits = spec.lanes.bit_length() - 1
        word_bits = bits_for_index(spec.score_words)
        weights_header = Signal(WeightsHeader)
        neurons_header = Signal(NeuronsHeader)
        # the first word of a header of two
        opening = Signal(len(word))
        codes_header = Signal(CodesHeader)
        whole_codes = Signal(CodesHeader)
        whole_run = Signal(RunHeader)
        m.d.comb += [
            weights_header.eq(word),
            neurons_header.eq(word),
            whole_codes.eq(Cat(opening, word)),
            whole_run.eq(Cat(opening, word)),
        ]

        def opens_a_row(index: Value) -> Value:
            return ~exceeds(index, spec.depth - 1) & ~index[:lane_bits].any()

        row = Signal(range(spec.lane_rows))
        # a packet that begins or goes on beyond the rows, or the neurons
        beyond_rows, beyond_neurons = Signal(), Signal()
        lane = Signal(range(spec.lanes))
        weights = Signal(spec.neurons * spec.weight_bits, reset_less=True)
        complete = Signal()
        column = Signal(range(spec.words_per_row))
        neuron = Signal(range(spec.neurons))
        theta = Signal(32)
        bias = Signal(32)
        field = Signal(range(3))
        m.d.comb += [
            self.weights.weights.eq(weights),
            self.weights_enable.eq(complete),
            self.neuron.neuron.eq(neuron),
            self.neuron.parameters.theta.eq(theta),
            self.neuron.parameters.bias.eq(bias),
            self.neuron.parameters.zero.eq(word),
            self.codes.payload.header.eq(codes_header),
            self.codes.payload.codes.eq(word),
            self.codes.payload.final.eq(last),
        ]

        m.d.sync += complete.eq(0)
        with m.If(self.runs.ready):
            m.d.sync += self.runs.valid.eq(0)
        with m.FSM():
            with m.State("header"):
                m.d.comb += self.waiting.eq(~complete & ~self.runs.valid)
                m.d.sync += [
                    opening.eq(word),
                    lane.eq(0),
                    column.eq(0),
                    field.eq(0),
                    row.eq(weights_header.input >> lane_bits),
                    beyond_rows.eq(~opens_a_row(weights_header.input)),
                    neuron.eq(neurons_header.neuron),
                    beyond_neurons.eq(exceeds(neurons_header.neuron, spec.neurons - 1)),
                ]
                with m.Switch(weights_header.operation):
                    with m.Case(Operation.WEIGHTS, Operation.NEURONS):
                        m.d.comb += self.i.ready.eq(self.idle & ~self.runs.valid)
                    with m.Default():
                        m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    with m.If(last):
                        m.d.comb += self.malformed.eq(1)
                    with m.Else(), m.Switch(weights_header.operation):
                        with m.Case(Operation.WEIGHTS):
                            m.next = "weights"
                        with m.Case(Operation.NEURONS):
                            m.next = "neurons"
                        with m.Case(Operation.CODES):
                            m.next = "sort"
                        with m.Case(Operation.RUN):
                            m.next = "run"
                        with m.Default():
                            m.d.comb += self.malformed.eq(1)
                            m.next = "drop"
            with m.State("weights"):
                m.d.comb += [
                    self.i.ready.eq(1),
                    self.malformed.eq(taken & (beyond_rows | (last & (column != spec.words_per_row - 1)))),
                ]
                with m.If(taken):
                    m.d.sync += column.eq(column + 1)
                    for place in range(spec.words_per_row):
                        with m.If(column == place):
                            m.d.sync += weights[place * WORD_BITS : (place + 1) * WORD_BITS].eq(word)
                    with m.If(column == spec.words_per_row - 1):
                        m.d.sync += [
                            column.eq(0),
                            lane.eq(lane + 1),
                            complete.eq(~beyond_rows),
                            self.weights.pair.eq(lane >> (spec.pair_lanes - 1)),
                            # the row behind the one of zeros
                            self.weights.row.eq(Cat(lane[: spec.pair_lanes - 1], row) + 1),
                        ]
                        with m.If(lane == spec.lanes - 1):
                            m.d.sync += [lane.eq(0), row.eq(row + 1)]
                            with m.If(row == spec.lane_rows - 1):
                                m.d.sync += beyond_rows.eq(1)
                    with m.If(last):
                        m.next = "header"
            with m.State("neurons"):
                m.d.comb += [
                    self.i.ready.eq(1),
                    self.neuron_enable.eq(taken & (field == 2) & ~beyond_neurons),
                    self.malformed.eq(taken & (beyond_neurons | (last & (field != 2)))),
                ]
                with m.If(taken):
                    m.d.sync += [theta.eq(bias), bias.eq(word), field.eq(field + 1)]
                    with m.If(field == 2):
                        m.d.sync += [field.eq(0), neuron.eq(neuron + 1)]
                        with m.If(neuron == spec.neurons - 1):
                            m.d.sync += beyond_neurons.eq(1)
                    with m.If(last):
                        m.next = "header"
            with m.State("sort"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += codes_header.eq(whole_codes)
                with m.If(taken):
                    with m.If(last):
                        m.d.comb += self.malformed.eq(1)
                        m.next = "header"
                    with m.Elif(
                        exceeds(whole_codes.shift, spec.max_salient_shift) | whole_codes.address[word_bits:].any()
                    ):
                        m.d.comb += self.malformed.eq(1)
                        m.next = "drop"
                    with m.Else():
                        m.next = "codes"
            with m.State("run"):
                buffer_free = ~self.sorting | (self.sorting_buffer != whole_run.buffer)
                m.d.comb += self.i.ready.eq(~self.runs.valid & buffer_free)
                with m.If(taken):
                    m.next = "header"
                    with m.If(
                        exceeds(whole_run.slot, spec.membrane_slots - 1)
                        | exceeds(whole_run.shift, spec.max_salient_shift)
                        | whole_run.half.as_value().all()
                        | whole_run.address[word_bits:].any()
                        | ~opens_a_row(whole_run.input)
                        | ~last
                    ):
                        m.d.comb += self.malformed.eq(1)
                        with m.If(~last):
                            m.next = "drop"
                    with m.Else():
                        m.d.sync += [
                            self.runs.valid.eq(1),
                            self.runs.payload.address.eq(Cat(whole_run.address[:word_bits], whole_run.buffer)),
                            self.runs.payload.first_row.eq((whole_run.input >> (spec.pairs.bit_length() - 1)) + 1),
                            self.runs.payload.first.eq(whole_run.first),
                            self.runs.payload.last.eq(whole_run.last),
                            self.runs.payload.half.eq(whole_run.half),
                            self.runs.payload.shift.eq(whole_run.shift),
                            self.runs.payload.slot.eq(whole_run.slot),
                        ]
            with m.State("codes"):
                m.d.comb += [self.codes.valid.eq(self.i.valid), self.i.ready.eq(self.codes.ready)]
                with m.If(taken & last):
                    m.next = "header"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken & last):
                    m.next = "header"
        return m
