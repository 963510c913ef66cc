"""A bucket sorts a share of a token's inputs: lists by level, filled for one token while another one is walked."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.packet_sizes import CODES_PER_WORD
from spikequant.rtl.shapes import bits_for_index

TOP = 0
"""The first list of a phase, for the ramp's highest level; the number of a list is the negative of its level."""

HEADS = 3
"""Heads of a list, one for each link that is read at once: as many as cycles from a link to the one it leads to."""


def bucket_count(spec: Spec) -> int:
    """Buckets of an encoder: at least one for each code of a word. Input k is in bucket ``k % bucket_count``."""
    return max(spec.lanes, CODES_PER_WORD)


def bucket_rows(spec: Spec) -> int:
    """Inputs of one bucket; the last one may lie beyond the spec's depth."""
    return -(-spec.depth // bucket_count(spec))


def list_layout(spec: Spec) -> data.StructLayout:
    """Number of a list, in the order of the walk: falling levels of the salient phase, then of the normal one."""
    return data.StructLayout({"level": spec.ramp.bit_length() - 1, "normal": 1})


def insert_layout(spec: Spec) -> data.StructLayout:
    """An input to insert: its row, its sign, and how many times more than once it fires in the list."""
    return data.StructLayout(
        {
            "row": bits_for_index(bucket_rows(spec)),
            "sign": 1,
            "repeats": max(0, spec.max_burst - 1).bit_length(),
        }
    )


def link_layout(spec: Spec) -> data.StructLayout:
    """An entry of a list: the input's own sign and repeats, and the input ``HEADS`` places after it."""
    insert = insert_layout(spec)
    return data.StructLayout(
        {"sign": 1, "repeats": insert["repeats"].width, "behind": pointer_layout(spec)},
    )


def pointer_layout(spec: Spec) -> data.StructLayout:
    """An input's row, or nothing."""
    return data.StructLayout({"row": bits_for_index(bucket_rows(spec)), "some": 1})


class Bucket(Component):
    """Linked lists of inputs, one for each level, with links in block RAM.

    The newest inputs head their list. Each input is linked with the one ``HEADS`` places after it, and a list has as
    many heads, so that an input follows in every cycle although a link takes three: from a register to the block RAM,
    through it, and back. An input above the ramp is in two lists: the top one, and that of its rest. The order within
    a list does not matter.

    Filling: an insert takes one cycle. Then the heads are copied, list by list, and are empty again: the next token
    may go in, into the other bank of the links, while this one's lists are walked.

    Walking: after ``start``, the lists come in order, from the chosen one to the last: the inputs of a list, then its
    end, which holds until ``descend``. A list takes a cycle for each input and one for its end, and one more if it has
    fewer than ``HEADS`` inputs. The next ``start`` may come as soon as ``going`` falls, while the last list is still
    walked.

    Latency: seven cycles from ``start`` to the first input or end. Throughput: an input a cycle.
    Handshake: inserts are never refused; ``take`` and ``descend`` advance the walk. The first list of a walk must be
    copied no later than in the cycle of ``start``, and the others one in each following cycle. After a reset, every
    list must be copied once. Tokens alternate between the two banks, the first one in bank 0.

    Attributes:
        list: number of the list to insert into, or to copy the heads of.
        insert_enable, insert: an input for ``list``.
        bank: bank of the links to insert into.
        copy: copy the heads of ``list`` to the walk.
        start, start_normal: begin a walk at the top of the salient phase, or of the normal one.
        going: the heads of some lists are still to be read.
        valid, row, sign: an input of the list that is walked.
        ended: the list that is walked has no more inputs; ``lowest`` if it is the last one of its phase.
        take: use the input once.
        descend: move beyond the end of a list; only where ``ended``.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "list": In(list_layout(spec)),
                "insert_enable": In(1),
                "insert": In(insert_layout(spec)),
                "bank": In(1),
                "copy": In(1),
                "start": In(1),
                "start_normal": In(1),
                "going": Out(1),
                "valid": Out(1),
                "row": Out(bits_for_index(bucket_rows(spec))),
                "sign": Out(1),
                "ended": Out(1),
                "lowest": Out(1),
                "take": In(1),
                "descend": In(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Heads in distributed RAM, one for the filling and one for the walk; links in block RAM."""
        m = Module()
        spec = self._spec
        heads_layout = data.ArrayLayout(pointer_layout(spec), HEADS)
        m.submodules.filled = filled = Memory(shape=heads_layout, depth=2 * spec.ramp, init=[])
        m.submodules.walked = walked = Memory(shape=heads_layout, depth=2 * spec.ramp, init=[])
        # an input may have a link in the top list and one in that of its rest
        kinds = 2 if spec.max_burst else 1
        m.submodules.links = links = BlockMemory(
            shape=link_layout(spec), depth=2 * kinds * 2 ** bits_for_index(bucket_rows(spec))
        )
        self._fill(m, filled, walked, links)
        self._walk(m, walked, links)
        return m

    def _link_address(self, row: Signal, at_top: Signal, bank: Signal) -> Cat:
        return Cat(row, at_top, bank) if self._spec.max_burst else Cat(row, bank)

    def _fill(self, m: Module, filled: Memory, walked: Memory, links: BlockMemory) -> None:
        """Make a new input the head of its list, or copy a list's heads to the walk."""
        old = filled.read_port(domain="comb")
        new = filled.write_port()
        handed = walked.write_port()
        number = self.list.as_value()
        m.d.comb += [
            old.addr.eq(number),
            new.addr.eq(number),
            new.en.eq(self.insert_enable | self.copy),
            new.data[0].row.eq(self.insert.row),
            new.data[0].some.eq(self.insert_enable),
            handed.addr.eq(number),
            handed.en.eq(self.copy),
            handed.data.eq(old.data),
        ]
        for place in range(1, HEADS):
            before = old.data[place - 1]
            m.d.comb += [new.data[place].row.eq(before.row), new.data[place].some.eq(before.some & self.insert_enable)]
        written = unreset(m, links.write.data, "written")
        m.d.sync += [
            unreset(m, links.write.address, "written_address").eq(
                self._link_address(self.insert.row, self.list.level == TOP, self.bank)
            ),
            written.sign.eq(self.insert.sign),
            written.repeats.eq(self.insert.repeats),
            written.behind.eq(old.data[HEADS - 1]),
            links.write.enable.eq(self.insert_enable),
        ]

    def _walk(self, m: Module, walked: Memory, links: BlockMemory) -> None:
        """Three stages from a link to its target, one to the input on offer, and a place for the next input."""
        spec = self._spec
        heads = walked.read_port(domain="comb")
        # the next list, and where its links are
        count = Signal(list_layout(spec))
        bank = Signal(init=1)
        place = data.StructLayout({"at_top": 1, "bank": 1, "lowest": 1})
        # its heads, the newest first; those left move up
        left = [Signal(pointer_layout(spec), name=f"head_{place}", reset_less=True) for place in range(HEADS)]
        some_heads = Signal()
        head_place, link_place = (Signal(place, name=f"{name}_place", reset_less=True) for name in ("head", "link"))
        load = self.going & ~some_heads
        m.d.comb += heads.addr.eq(count)
        with m.If(load):
            m.d.sync += [
                head_place.at_top.eq(count.level == TOP),
                head_place.bank.eq(bank),
                head_place.lowest.eq(count.level.all()),
                count.eq(count.as_value() + 1),
                self.going.eq(~count.as_value().all()),
            ]
        with m.If(self.start):
            m.d.sync += [count.level.eq(TOP), count.normal.eq(self.start_normal), self.going.eq(1), bank.eq(~bank)]

        # what is issued now: a head, or what the input ``HEADS`` before links to
        pointer = Signal(pointer_layout(spec))
        pointer_place = Signal(place)
        from_heads = Signal(init=1)
        # heads of the list that were issued
        issued = Signal(range(HEADS))
        # rows of the links that are read, the first one on its way to the block RAM
        rows = [Signal.like(self.row, name=f"row_{stage}", reset_less=True) for stage in range(HEADS)]
        # the stages advance unless another input waits for the one on offer
        advance = Signal(init=1)
        issue = Signal()
        m.d.comb += [
            pointer.eq(Mux(from_heads, left[0].as_value(), links.output.behind.as_value())),
            pointer_place.eq(Mux(from_heads, head_place.as_value(), link_place.as_value())),
            issue.eq(advance & (~from_heads | some_heads)),
            links.address.eq(self._link_address(rows[0], link_place.at_top, link_place.bank)),
            links.read.eq(advance),
            links.advance.eq(advance),
        ]
        with m.If(load | (issue & from_heads)):
            for place, (head, following) in enumerate(pairwise([*left, None])):
                loaded = heads.data[place].as_value()
                m.d.sync += head.eq(loaded if following is None else Mux(some_heads, following.as_value(), loaded))
        with m.If(load):
            m.d.sync += some_heads.eq(1)
        with m.If(issue):
            last_head = issued == HEADS - 1
            m.d.sync += [
                link_place.eq(pointer_place),
                issued.eq(Mux(from_heads & pointer.some & ~last_head, issued + 1, 0)),
                from_heads.eq(~pointer.some | (from_heads & ~last_head)),
            ]
            with m.If(from_heads & (~pointer.some | last_head)):
                m.d.sync += some_heads.eq(0)

        offer = data.StructLayout(
            {
                "row": self.row.shape(),
                "sign": 1,
                "repeats": self.insert.repeats.shape(),
                "more": 1,
                "valid": 1,
                "ended": 1,
                "lowest": 1,
            }
        )
        coming, waiting, chosen = (Signal(offer, name=name) for name in ("coming", "waiting", "chosen"))
        valid, ended, lowest = (Signal(HEADS, name=f"{name}_stages") for name in ("valid", "ended", "lowest"))
        with m.If(advance):
            m.d.sync += [
                valid.eq(Cat(issue & pointer.some, valid)),
                ended.eq(Cat(issue & ~pointer.some, ended)),
                lowest.eq(Cat(pointer_place.lowest, lowest)),
                *(after.eq(row) for row, after in pairwise([pointer.row, *rows, coming.row])),
                coming.sign.eq(links.output.sign),
                coming.repeats.eq(links.output.repeats),
                coming.more.eq(links.output.repeats.any()),
                coming.valid.eq(valid[-1]),
                coming.ended.eq(ended[-1]),
                coming.lowest.eq(lowest[-1]),
            ]
        present = Signal()
        more = Signal()
        repeats = Signal.like(self.insert.repeats)
        moves = Signal()
        m.d.comb += [
            chosen.eq(Mux(advance, coming.as_value(), waiting.as_value())),
            moves.eq(~present | (self.take & ~more) | self.descend),
        ]
        m.d.sync += advance.eq(moves | (advance & ~coming.valid & ~coming.ended))
        with m.If(advance):
            m.d.sync += waiting.eq(coming)
        with m.If(moves):
            m.d.sync += [
                self.valid.eq(chosen.valid),
                self.ended.eq(chosen.ended),
                self.lowest.eq(chosen.lowest),
                present.eq(chosen.valid | chosen.ended),
                self.row.eq(chosen.row),
                self.sign.eq(chosen.sign),
                repeats.eq(chosen.repeats),
                more.eq(chosen.more),
            ]
        with m.Elif(self.take):
            m.d.sync += [repeats.eq(repeats - 1), more.eq(repeats > 1)]
