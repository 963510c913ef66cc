"""Controller of an SDR SDRAM."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.sdram.rows import Command, RowKeeper
from spikequant.fpga.sdram.shapes import DATA_BITS, PinsSignature, RequestLayout, WordLayout, burst_layout
from spikequant.fpga.sdram.splitter import RequestSplitter
from spikequant.fpga.sdram.timing import SdramTiming

SEQUENTIAL_BURST_OF_2 = 0b001
"""Mode register: READ and WRITE transfer two consecutive columns."""

PIN_CYCLES = 2
"""Cycles from the choice of a command to the pins: two registers."""

RETURN_CYCLES = 1
"""Cycles from the chip's latency to the capture of data, ``CAPTURE_CYCLES`` after the chip's clock edge.

Valid for the clocks that ``SdramTiming.check_pins`` accepts.
"""

MOST_UNDER_WAY = 8
"""Words that may still arrive after ``room`` goes low."""


class SdramController(Component):
    """Controller that reads and writes words in the order of the requests.

    Time is divided into slots of two cycles. The first cycle of a slot is for a column command, whose burst of two
    columns, one word, fills the data pins for a slot; the second cycle is for a row command. So data streams without a
    gap while rows of other banks are opened and closed: the row of the next burst during the current one, if it is in
    another bank. A bank stays open until another row of it is needed or a refresh is due.

    Latency: about 20 cycles from a request to the first word of a closed row. Throughput: a word in two cycles, less
    about 20 cycles for each refresh.

    Attributes:
        i: requests.
        o, o_valid: words read, without backpressure.
        room: there is room for ``MOST_UNDER_WAY`` more words.
        ready: the chip is initialized.
        pins: pins of the chip, before their registers; the chip's clock lags ``sync`` by half a cycle.
    """

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        super().__init__(
            {
                "i": In(stream.Signature(RequestLayout)),
                "o": Out(WordLayout),
                "o_valid": Out(1),
                "room": In(1),
                "ready": Out(1),
                "pins": Out(PinsSignature(timing.chip)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Hold the present and the following burst, issue their commands, and collect the words read."""
        m = Module()
        timing, chip = self._timing, self._timing.chip
        m.submodules.splitter = splitter = RequestSplitter(chip)
        m.submodules.rows = rows = RowKeeper(timing, mode=chip.cas_latency << 4 | SEQUENTIAL_BURST_OF_2)
        burst = data.StructLayout({"burst": burst_layout(chip), "end": 1, "last": 1, "valid": 1})
        present, following = (Signal(burst, name=name) for name in ("present", "following"))
        # the second cycle of a slot; the present burst's last word; slots until a WRITE may follow a READ
        row_cycle, final, turning = Signal(), Signal(), Signal(range(timing.read_to_write + 1))
        issue, advance, read = Signal(), Signal(), Signal()
        writes = present.burst.write
        m.d.sync += row_cycle.eq(~row_cycle)
        m.d.comb += [
            splitter.i.payload.eq(self.i.payload),
            splitter.i.valid.eq(self.i.valid),
            self.i.ready.eq(splitter.i.ready),
            issue.eq(
                ~row_cycle
                & present.valid
                & rows.present_open
                & ~rows.refresh_due
                & Mux(writes, turning == 0, self.room)
            ),
            read.eq(issue & ~writes),
            advance.eq(~row_cycle & (~present.valid | (issue & final))),
            splitter.o.ready.eq(~row_cycle & (~following.valid | advance)),
            rows.row_cycle.eq(row_cycle),
            rows.used.eq(issue),
            rows.wrote.eq(writes),
            self.ready.eq(rows.ready),
        ]
        for place, one in ((rows.present, present), (rows.following, following)):
            m.d.comb += [place.valid.eq(one.valid), place.bank.eq(one.burst.bank), place.row.eq(one.burst.row)]
        with m.If(issue):
            m.d.sync += [
                present.burst.count.eq(present.burst.count - 1),
                present.burst.place.eq(present.burst.place + 1),
                final.eq(present.burst.count == 2),
            ]
        with m.If(advance):
            m.d.sync += [present.eq(following), final.eq(following.burst.count == 1), following.valid.eq(0)]
        with m.If(splitter.o.ready):
            m.d.sync += [
                following.burst.eq(splitter.o.payload),
                following.end.eq(splitter.end),
                following.last.eq(splitter.last),
                following.valid.eq(splitter.o.valid),
            ]
        with m.If(read):
            m.d.sync += turning.eq(timing.read_to_write)
        with m.Elif(row_cycle & (turning != 0)):
            m.d.sync += turning.eq(turning - 1)

        self._drive(m, rows, row_cycle, issue, present.burst)
        self._take(m, read, end=present.end & final, last=present.last & final)
        return m

    def _drive(self, m: Module, rows: RowKeeper, row_cycle: Signal, issue: Signal, burst: data.View) -> None:
        """Drive commands, and the halves of a word to write: the first with its command, the second a cycle later."""
        pins = self.pins
        command = Signal(Command)
        upper, wrote = Signal(DATA_BITS, reset_less=True), Signal()
        writes = issue & burst.write
        m.d.comb += command.eq(Mux(issue, Mux(burst.write, Command.WRITE, Command.READ), Command.NOTHING))
        m.d.sync += [
            pins.clk_en.eq(1),
            pins.dqm.eq(~rows.ready.replicate(len(pins.dqm))),
            upper.eq(burst.payload[DATA_BITS:]),
            wrote.eq(writes),
            pins.dq_oe.eq(writes | wrote),
            pins.dq_o.eq(Mux(wrote, upper, burst.payload[:DATA_BITS])),
        ]
        with m.If(row_cycle):
            m.d.comb += command.eq(rows.command)
            m.d.sync += [pins.a.eq(rows.address), pins.ba.eq(rows.bank)]
        with m.Else():
            m.d.sync += [pins.a.eq(burst.place << 1), pins.ba.eq(burst.bank)]
        m.d.sync += Cat(pins.ras, pins.cas, pins.we).eq(command)

    def _take(self, m: Module, read: Signal, *, end: Value, last: Value) -> None:
        """Assemble words from their halves, after the delay from a READ to its data."""
        cycles = PIN_CYCLES + self._timing.chip.cas_latency + RETURN_CYCLES
        marks = data.StructLayout({"read": 1, "end": 1, "last": 1})
        stages = [Signal(marks, name=f"behind_{cycle}") for cycle in range(cycles + 1)]
        m.d.sync += [stages[0].read.eq(read), stages[0].end.eq(end), stages[0].last.eq(last)]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(stages)]
        lower = Signal(DATA_BITS, reset_less=True)
        m.d.sync += lower.eq(self.pins.dq_i)
        m.d.comb += [
            self.o.data.eq(Cat(lower, self.pins.dq_i)),
            self.o.last.eq(stages[-1].last),
            self.o.end.eq(stages[-1].end),
            self.o_valid.eq(stages[-1].read),
        ]
