"""Where one lane's events wait, sorted by level."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.shapes import bits_for_index

BANKS = 2
"""One bank fills while the other replays."""


def level_index_layout(spec: Spec) -> data.StructLayout:
    """A list of equal events: its phase and its magnitude (1 or more)."""
    return data.StructLayout({"magnitude": bits_for_index(spec.max_level + 1), "salient": 1})


class Bucket(Component):
    """A linked list of events for each level, in one block RAM.

    A link points at an event and says whether that event ends its list. The newest event heads the
    list; inserting one stores the old head in the event's own row. Events of a level come back in any
    order, since the order within a tick makes no difference.

    Timing: an insert takes one cycle. In replay, ``active``, ``row``, ``sign`` and ``done`` are valid in
    the same cycle as ``level`` and ``start``, and ``advance`` moves to the next event in one cycle.
    The two banks are never inserted to and replayed at once: the encoder sees to that.

    Attributes:
        insert: write the event ``insert_row``, ``insert_sign`` to the list ``insert_level`` of ``insert_bank``.
        clear: empty every list of ``replay_bank``.
        level: list to replay in ``replay_bank``; ``start`` selects its head.
        active: there is an event, at ``row`` with ``sign``.
        done: nothing follows in this list.
        advance: take the event.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        row = bits_for_index(spec.rows)
        index = level_index_layout(spec)
        super().__init__(
            {
                "insert": In(1),
                "insert_bank": In(1),
                "insert_level": In(index),
                "insert_row": In(row),
                "insert_sign": In(1),
                "clear": In(1),
                "replay_bank": In(1),
                "level": In(index),
                "start": In(1),
                "advance": In(1),
                "active": Out(1),
                "row": Out(row),
                "sign": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Heads in distributed RAM, links in block RAM, one occupied bit a list."""
        m = Module()
        row_bits = bits_for_index(self._spec.rows)
        link_layout = data.StructLayout({"row": row_bits, "sign": 1, "final": 1})
        lists = 2 ** level_index_layout(self._spec).size

        m.submodules.heads = heads = Memory(shape=link_layout, depth=BANKS * lists, init=[])
        m.submodules.links = links = Memory(shape=link_layout, depth=BANKS * 2**row_bits, init=[])
        old_head = heads.read_port(domain="comb")
        head = heads.read_port(domain="comb")
        new_head = heads.write_port()
        following = links.read_port()
        stored = links.write_port()
        occupied = [Signal(lists, name=f"occupied_{bank}") for bank in range(BANKS)]

        insert_level = self.insert_level.as_value()
        insert_list = Cat(insert_level, self.insert_bank)
        was_occupied = Signal()
        m.d.comb += [
            was_occupied.eq(Mux(self.insert_bank, occupied[1], occupied[0]).bit_select(insert_level, 1)),
            old_head.addr.eq(insert_list),
            new_head.addr.eq(insert_list),
            new_head.data.row.eq(self.insert_row),
            new_head.data.sign.eq(self.insert_sign),
            new_head.data.final.eq(~was_occupied),
            new_head.en.eq(self.insert),
            stored.addr.eq(Cat(self.insert_row, self.insert_bank)),
            stored.data.eq(old_head.data),
            stored.en.eq(self.insert),
        ]
        for bank in range(BANKS):
            with m.If(self.insert & (self.insert_bank == bank)):
                m.d.sync += occupied[bank].bit_select(insert_level, 1).eq(1)
            with m.If(self.clear & (self.replay_bank == bank)):
                m.d.sync += occupied[bank].eq(0)

        level = self.level.as_value()
        pending = Signal()
        link = Signal(link_layout)
        m.d.comb += [
            head.addr.eq(Cat(level, self.replay_bank)),
            link.eq(Mux(self.start, head.data, following.data)),
            self.active.eq(
                Mux(self.start, Mux(self.replay_bank, occupied[1], occupied[0]).bit_select(level, 1), pending)
            ),
            self.row.eq(link.row),
            self.sign.eq(link.sign),
            self.done.eq(~self.active | link.final),
            following.addr.eq(Cat(link.row, self.replay_bank)),
            following.en.eq(self.advance),
        ]
        with m.If(self.advance):
            m.d.sync += pending.eq(~self.done)
        return m
