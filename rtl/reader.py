"""Incoming packets: weights and constants to their memories, codes to the encoder."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.neuron import parameter_write_layout
from rtl.shapes import (
    Half,
    NeuronsHeader,
    Operation,
    RunHeader,
    WeightsHeader,
    codes_layout,
    word_layout,
)
from rtl.synapse import weight_write_layout


class PacketReader(Component):
    """Takes packets apart.

    WEIGHTS and NEURONS packets wait until the accelerator is ``idle``, so that nothing changes under a
    token on its way. A packet that breaks the rules is dropped from there to its end; a RUN packet may
    break them by its header alone, with a slot, a shift, a half or a first input that do not exist.

    Latency: none; a word goes on in the cycle in which it is taken.

    Attributes:
        i: stream words.
        idle: no token is on its way.
        weights, weights_enable: a write to the synapse memory.
        neuron, neuron_enable: a write to the neurons' constants.
        codes: activation codes with their packet's header.
        malformed: pulses when a packet is dropped or cut.
        waiting: no packet is half way in.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(word_layout())),
                "idle": In(1),
                "weights": Out(weight_write_layout(spec)),
                "weights_enable": Out(1),
                "neuron": Out(parameter_write_layout(spec)),
                "neuron_enable": Out(1),
                "codes": Out(stream.Signature(codes_layout())),
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
        weights_header = Signal(WeightsHeader)
        neurons_header = Signal(NeuronsHeader)
        run_header = Signal(RunHeader)
        whole_header = Signal(RunHeader)
        m.d.comb += [
            weights_header.eq(word),
            neurons_header.eq(word),
            whole_header.eq(Cat(run_header.as_value()[: len(word)], word)),
        ]

        def opens_a_row(index: Value) -> Value:
            return (index < spec.depth) & ~index[:lane_bits].any()

        row = Signal(range(spec.rows + 1))
        lane = Signal(range(spec.lanes))
        column = Signal(range(spec.words_per_row))
        neuron = Signal(range(spec.neurons + 1))
        theta = Signal(32)
        bias = Signal(32)
        field = Signal(range(3))
        m.d.comb += [
            self.weights.lane.eq(lane),
            self.weights.row.eq(row),
            self.weights.word.eq(column),
            self.weights.data.eq(word),
            self.neuron.neuron.eq(neuron),
            self.neuron.parameters.theta.eq(theta),
            self.neuron.parameters.bias.eq(bias),
            self.neuron.parameters.zero.eq(word),
            self.codes.payload.header.eq(run_header),
            self.codes.payload.codes.eq(word),
            self.codes.payload.final.eq(last),
        ]

        with m.FSM():
            with m.State("header"):
                m.d.comb += self.waiting.eq(1)
                m.d.sync += [
                    run_header.as_value()[: len(word)].eq(word),
                    lane.eq(0),
                    column.eq(0),
                    field.eq(0),
                    row.eq(Mux(opens_a_row(weights_header.input), weights_header.input >> lane_bits, spec.rows)),
                    neuron.eq(Mux(neurons_header.neuron < spec.neurons, neurons_header.neuron, spec.neurons)),
                ]
                with m.Switch(weights_header.operation):
                    with m.Case(Operation.WEIGHTS, Operation.NEURONS):
                        m.d.comb += self.i.ready.eq(self.idle)
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
                        with m.Case(Operation.RUN):
                            m.next = "run"
                        with m.Default():
                            m.d.comb += self.malformed.eq(1)
                            m.next = "drop"
            with m.State("weights"):
                beyond = row >= spec.rows
                m.d.comb += [
                    self.i.ready.eq(1),
                    self.weights_enable.eq(taken & ~beyond),
                    self.malformed.eq(taken & (beyond | (last & (column != spec.words_per_row - 1)))),
                ]
                with m.If(taken):
                    m.d.sync += column.eq(column + 1)
                    with m.If(column == spec.words_per_row - 1):
                        m.d.sync += [column.eq(0), lane.eq(lane + 1)]
                        with m.If(lane == spec.lanes - 1):
                            m.d.sync += [lane.eq(0), row.eq(row + ~beyond)]
                    with m.If(last):
                        m.next = "header"
            with m.State("neurons"):
                beyond = neuron >= spec.neurons
                m.d.comb += [
                    self.i.ready.eq(1),
                    self.neuron_enable.eq(taken & (field == 2) & ~beyond),
                    self.malformed.eq(taken & (beyond | (last & (field != 2)))),
                ]
                with m.If(taken):
                    m.d.sync += [theta.eq(bias), bias.eq(word), field.eq(field + 1)]
                    with m.If(field == 2):
                        m.d.sync += [field.eq(0), neuron.eq(neuron + ~beyond)]
                    with m.If(last):
                        m.next = "header"
            with m.State("run"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += run_header.eq(whole_header)
                with m.If(taken):
                    with m.If(last):
                        m.d.comb += self.malformed.eq(1)
                        m.next = "header"
                    with m.Elif(
                        (whole_header.slot >= spec.membrane_slots)
                        | (whole_header.shift > spec.max_salient_shift)
                        | (whole_header.half.as_value() > Half.LOW.value)
                        | ~opens_a_row(whole_header.input)
                    ):
                        m.d.comb += self.malformed.eq(1)
                        m.next = "drop"
                    with m.Else():
                        m.next = "codes"
            with m.State("codes"):
                m.d.comb += [self.codes.valid.eq(self.i.valid), self.i.ready.eq(self.codes.ready)]
                with m.If(taken & last):
                    m.next = "header"
            with m.State("drop"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken & last):
                    m.next = "header"
        return m
