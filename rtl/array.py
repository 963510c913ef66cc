"""The array: every neuron's integrator on the same spikes, and one more that counts them."""

from itertools import pairwise

from amaranth.hdl import Const, Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.integrator import Integrator
from rtl.shapes import beat_layout
from rtl.synapse import SynapseMemory, weight_write_layout


class SpikingArray(Component):
    """``neurons`` integrators by ``lanes`` spikes, with the synapse memory in front.

    One more integrator, the population, sees every weight as one: its charge is the sum of the levels,
    which is all that the neurons' zero points need.

    Latency: ``loaded`` pulses four cycles after a beat with ``end``; from the next cycle on ``charge``
    is neuron 0's, each ``shift`` moves on to the next neuron's, and ``population`` holds. A beat is taken
    every cycle it is ``enable``d; there is no back-pressure.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(weight_write_layout(spec)),
                "write_enable": In(1),
                "beat": In(beat_layout(spec)),
                "enable": In(1),
                "loaded": Out(1),
                "shift": In(1),
                "charge": Out(signed(spec.charge_bits)),
                "population": Out(signed(spec.population_bits)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Delay the beat to meet its weights, and chain the snapshots."""
        m = Module()
        spec = self._spec
        m.submodules.synapses = synapses = SynapseMemory(spec)
        control = data.StructLayout({"fire": spec.lanes, "sign": spec.lanes, "tick": 1, "end": 1})
        beat = Signal(control)
        m.d.comb += [
            synapses.write.eq(self.write),
            synapses.write_enable.eq(self.write_enable),
            synapses.row.eq(self.beat.row),
            synapses.fire.eq(beat.fire),
            beat.sign.eq(self.beat.sign),
        ]
        with m.If(self.enable):
            m.d.comb += [
                beat.fire.eq(self.beat.fire),
                beat.tick.eq(self.beat.tick),
                beat.end.eq(self.beat.end),
            ]
        for stage in range(synapses.latency):
            delayed = Signal(control, name=f"beat_{stage + 1}")
            m.d.sync += delayed.eq(beat)
            beat = delayed

        population = Integrator(spec)
        integrators = [Integrator(spec) for _ in range(spec.neurons)]
        m.submodules.population = population
        for neuron, integrator in enumerate(integrators):
            m.submodules[f"integrator_{neuron}"] = integrator
            m.d.comb += integrator.shift.eq(self.shift)
            for lane in range(spec.lanes):
                m.d.comb += integrator.weights[lane].eq(synapses.weights[lane].word_select(neuron, spec.weight_bits))
        for integrator, following in pairwise(integrators):
            m.d.comb += integrator.chain.eq(following.snapshot)
        m.d.comb += population.weights.eq(Const(spec.weight_offset + 1, spec.weight_bits).replicate(spec.lanes))
        for integrator in [*integrators, population]:
            m.d.comb += [
                integrator.fire.eq(beat.fire),
                integrator.sign.eq(beat.sign),
                integrator.tick.eq(beat.tick),
                integrator.end.eq(beat.end),
            ]
        m.d.comb += [
            self.loaded.eq(population.loaded),
            self.charge.eq(integrators[0].snapshot),
            self.population.eq(population.snapshot),
        ]
        return m
