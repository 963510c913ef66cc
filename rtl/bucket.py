"""Where one lane's inputs wait, in lists by level, to be sorted."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.memory import BlockMemory
from rtl.shapes import bits_for_index

TOP = 0
"""The list of the ramp's highest level, whose number would not fit: every other list has its level's number."""


def list_layout(spec: Spec) -> data.StructLayout:
    """Which list: a level of a phase."""
    return data.StructLayout({"level": spec.ramp.bit_length() - 1, "salient": 1})


def pointer_layout(spec: Spec) -> data.StructLayout:
    """An input in a list: its row in the lane, its sign, how often it fires here, and whether the list ends with it."""
    return data.StructLayout(
        {
            "row": bits_for_index(spec.lane_rows),
            "sign": 1,
            "burst": max(1, spec.max_burst.bit_length()),
            "last": 1,
        }
    )


class Bucket(Component):
    """Linked lists of inputs, one a level, whose links are in one block RAM.

    A pointer says whether its input ends the list. The newest input heads its list, and keeps the old head in a
    word of its own. An input above the ramp is in two lists: the top one, and that of its rest. The order within a
    list makes no difference.

    Filling: an insert takes one cycle. ``rest`` goes before ``top`` where the same input goes into both.
    Walking: ``start`` selects the head of ``list``, and empties that list; from then on, ``active``, ``row`` and
    ``sign`` are one input, and ``take`` moves on to the next. There must be two cycles between the last insert and
    the first start, and a cycle without ``start`` and ``take`` between two of them. Filling and walking are never
    done at once. After a reset, every list must be started once.

    Attributes:
        insert: put the input at ``insert_row`` with ``insert_sign`` and ``insert_burst`` into ``list``.
        start, take, active, row, sign: as above.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        pointer = pointer_layout(spec)
        row, burst = bits_for_index(spec.lane_rows), pointer["burst"].width
        super().__init__(
            {
                "list": In(list_layout(spec)),
                "insert": In(1),
                "insert_row": In(row),
                "insert_sign": In(1),
                "insert_burst": In(burst),
                "start": In(1),
                "take": In(1),
                "active": Out(1),
                "row": Out(row),
                "sign": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Heads in distributed RAM, links in block RAM."""
        m = Module()
        spec = self._spec
        pointer = pointer_layout(spec)
        number = self.list.as_value()
        entry = data.StructLayout({"pointer": pointer, "populated": 1})
        m.submodules.heads = heads = Memory(shape=entry, depth=2 * spec.ramp, init=[])
        link = data.StructLayout({"rest": pointer, "top": pointer})
        m.submodules.links = links = BlockMemory(shape=link, depth=spec.lane_rows)
        head, new_head = heads.read_port(domain="comb"), heads.write_port()
        at_top = self.list.level == TOP

        rest = Signal(pointer, reset_less=True)
        m.d.comb += [
            head.addr.eq(number),
            new_head.addr.eq(number),
            new_head.en.eq(self.insert | self.start),
            new_head.data.pointer.row.eq(self.insert_row),
            new_head.data.pointer.sign.eq(self.insert_sign),
            new_head.data.pointer.burst.eq(self.insert_burst),
            new_head.data.pointer.last.eq(~head.data.populated),
            new_head.data.populated.eq(self.insert),
        ]
        with m.If(self.insert):
            m.d.sync += rest.eq(head.data.pointer)
        m.d.sync += [
            links.write_address.eq(self.insert_row),
            links.write_data.rest.eq(Mux(at_top, rest.as_value(), head.data.pointer.as_value())),
            links.write_data.top.eq(head.data.pointer),
            links.write_enable.eq(self.insert),
        ]

        first = Signal(pointer, reset_less=True)
        at_first = Signal()
        here = Signal(pointer)
        fired = Signal.like(here.burst)
        repeats = Signal()
        following = Mux(at_top, links.output.top.as_value(), links.output.rest.as_value())
        m.d.comb += [
            here.eq(Mux(at_first, first.as_value(), following)),
            self.row.eq(here.row),
            self.sign.eq(here.sign),
            links.address.eq(here.row),
            links.advance.eq(self.take & ~repeats),
        ]
        # known a cycle before the next take
        m.d.sync += repeats.eq(at_top & (fired + 1 < here.burst))
        with m.If(self.start):
            m.d.sync += [first.eq(head.data.pointer), at_first.eq(1), self.active.eq(head.data.populated), fired.eq(0)]
        with m.Elif(self.take):
            with m.If(repeats):
                m.d.sync += fired.eq(fired + 1)
            with m.Else():
                m.d.sync += [at_first.eq(0), self.active.eq(~here.last), fired.eq(0)]
        return m
