"""The collector: a pair of lanes takes up to two inputs a beat from its buckets."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.bucket import bucket_count, bucket_rows
from spikequant.rtl.shapes import beat_layout, bits_for_index, idle_place


def buckets_per_pair(spec: Spec) -> int:
    """Buckets from which a pair of lanes takes its inputs; adjacent buckets hold adjacent inputs."""
    return bucket_count(spec) // spec.pairs


class PairCollector(Component):
    """Collects the spikes of one pair of lanes for a beat.

    A lane's own inputs come first. While a lane has none left, the other one fires two of its own in a beat.

    Latency: two cycles from an input to its spike, of which the first is before ``clear``.
    Throughput: two inputs a cycle as long as there are two in different buckets.
    Handshake: ``take`` accepts inputs; ``ready``, ``others_ready`` and ``clear`` join the pairs for a beat.

    Attributes:
        valid, row, sign: an input of each bucket.
        ended: the current list of each bucket has no inputs left.
        take: the input of each bucket is used.
        ready: this pair's part of the beat is complete, or no input is left for it.
        some: there are spikes for the beat.
        others_ready: the parts of all other pairs are ready.
        clear: all pairs are ready, and some have spikes: the beat is over.
        spikes: what was collected one cycle ago; idle places where there was no spike.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        buckets = buckets_per_pair(spec)
        spikes = data.ArrayLayout(beat_layout(spec)["spikes"].shape.elem_shape, spec.pair_lanes)
        super().__init__(
            {
                "valid": In(buckets),
                "ended": In(buckets),
                "row": In(data.ArrayLayout(bits_for_index(bucket_rows(spec)), buckets)),
                "sign": In(buckets),
                "take": Out(buckets),
                "ready": Out(1),
                "some": Out(1),
                "spikes": Out(spikes),
                "others_ready": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A place for each lane, and the inputs that it takes."""
        m = Module()
        if self._spec.pair_lanes == 1:
            self._one_lane(m)
        else:
            self._two_lanes(m)
        return m

    def spike(self, bucket: int) -> Value:
        """The spike of a bucket's input."""
        number = Const(bucket, buckets_per_pair(self._spec).bit_length() - 1)
        place = Cat(number, self.row[bucket], Const(0, len(self.spikes[0].place)))[: len(self.spikes[0].place)]
        return Cat(place, self.sign[bucket])

    def _keep(self, m: Module, lane: int, spike: Value, *, free: Value, taken: Value) -> None:
        """Track the input on offer while a place is free, and output it when it is taken."""
        held = Signal(self.spikes.shape().elem_shape, name=f"held_{lane}", reset_less=True)
        with m.If(free):
            m.d.sync += held.eq(spike)
        # a cleared register has its reset value, which takes no lookup table
        idle = {"place": idle_place(self._spec)}
        shown = Signal(held.shape(), name=f"shown_{lane}", init=idle)
        m.d.sync += shown.eq(held)
        with m.If(~taken):
            m.d.sync += shown.eq(shown.shape().const(idle))
        m.d.comb += self.spikes[lane].eq(shown)

    def _one_lane(self, m: Module) -> None:
        """Take from the buckets in order."""
        buckets = buckets_per_pair(self._spec)
        full = Signal()
        room = ~full | self.others_ready
        chosen, earlier = self.spike(buckets - 1), Const(0)
        for bucket in reversed(range(buckets - 1)):
            chosen = Mux(self.valid[bucket], self.spike(bucket), chosen)
        for bucket in range(buckets):
            m.d.comb += self.take[bucket].eq(self.valid[bucket] & ~earlier & room)
            earlier = earlier | self.valid[bucket]
        self._keep(m, 0, chosen, free=room, taken=full)
        m.d.comb += [self.ready.eq(full | self.ended.all()), self.some.eq(full)]
        with m.If(self.valid.any() & room):
            m.d.sync += full.eq(1)
        with m.Elif(self.clear):
            m.d.sync += full.eq(0)

    def _two_lanes(self, m: Module) -> None:
        """Take an input for each lane, or two of one lane; a single one waits for another one, or for the end."""
        full = Signal()
        # the only place that is taken, if one is
        alone = Signal(2)
        room = ~full | self.others_ready
        turn = Signal()
        m.d.sync += turn.eq(~turn & ~self.ended.all())
        lanes = [_Lane(self, lane, turn) for lane in range(2)]
        single = Signal(2)
        double = Signal()
        m.d.comb += double.eq(
            (lanes[0].some & lanes[1].some) | (lanes[0].ended & lanes[1].two) | (lanes[1].ended & lanes[0].two)
        )
        for number, (own, other) in enumerate(zip(lanes, lanes[::-1], strict=True)):
            m.d.comb += single[number].eq(other.ended & own.one)
            for index, bucket in enumerate(own.buckets):
                takes = (other.some & own.first[index]) | (other.ended & own.settled)
                m.d.comb += self.take[bucket].eq(self.valid[bucket] & room & takes)
            spike = Mux(own.ended, other.second_spike, own.first_spike)
            self._keep(m, number, spike, free=room & ~alone[number], taken=full | alone[number])
        with m.If((double | single.any()) & room):
            m.d.sync += [full.eq(double | alone.any()), alone.eq(Mux(double | alone.any(), 0, single))]
        with m.Elif(self.clear):
            m.d.sync += [full.eq(0), alone.eq(0)]
        m.d.comb += [self.ready.eq(full | self.ended.all()), self.some.eq(full | alone.any())]


class _Lane:
    """Inputs that the one or two buckets of a lane offer.

    Attributes:
        buckets: their numbers in the pair.
        some, one, two: number of inputs on offer; ``one`` only if no other one can come.
        settled: every bucket has an input or has ended.
        ended: all buckets have ended.
        first: whether each bucket has priority, which alternates.
        first_spike, second_spike: spike of the bucket with priority, and of the other one; equal for a single bucket.
    """

    def __init__(self, pair: PairCollector, lane: int, turn: Signal) -> None:
        self.buckets = range(lane, len(pair.valid), 2)
        valid = [pair.valid[bucket] for bucket in self.buckets]
        ended = [pair.ended[bucket] for bucket in self.buckets]
        spikes = [pair.spike(bucket) for bucket in self.buckets]
        self.some, self.ended, self.settled = Cat(valid).any(), Cat(ended).all(), Const(1)
        if len(self.buckets) == 1:
            self.one, self.two = valid[0], Const(0)
            self.first = [Const(1)]
            self.first_spike = self.second_spike = spikes[0]
        else:
            self.settled = (valid[0] | ended[0]) & (valid[1] | ended[1])
            self.one, self.two = (valid[0] & ended[1]) | (valid[1] & ended[0]), valid[0] & valid[1]
            self.first = [~turn | ~valid[1], turn | ~valid[0]]
            self.first_spike = Mux(valid[1] & self.first[1], spikes[1], spikes[0])
            self.second_spike = Mux(valid[1] & (~turn | ~valid[0]), spikes[1], spikes[0])
