"""Memories of ECP5 block RAMs with their output registers, and portable logic of identical behaviour."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, ShapeLike, Signal, Value, unsigned
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric import on_ecp5
from spikequant.rtl.interfaces import MemoryWrite
from spikequant.rtl.shapes import bits_for_index

ADDRESS_PINS = 14
"""Address pins of a block RAM's port; the row is on the uppermost ones."""

SHAPES = {1024: 18, 2048: 9, 4096: 4, 8192: 2, 16384: 1}
"""Widths of a true dual-port block RAM by its rows."""

WIDE_ROWS, WIDE_BITS = 512, 36
"""A simple dual-port block RAM at its widest."""


def block_rows(depth: int) -> int:
    """Rows of the true dual-port block RAM that is widest for a memory of this depth."""
    return next((rows for rows in SHAPES if rows >= depth), max(SHAPES))


def block_rams(bits: int, depth: int, *, dual: bool) -> int:
    """Block RAMs of a memory.

    Args:
        bits: width of a row.
        depth: rows.
        dual: both ports read.
    """
    if not dual and depth <= WIDE_ROWS:
        return -(-bits // WIDE_BITS)
    rows = block_rows(depth)
    return -(-bits // SHAPES[rows]) * -(-depth // rows)


def _pins(prefix: str, value: Value, width: int) -> dict[str, Value]:
    return {f"{prefix}{i}": value[i] if i < len(value) else Const(0) for i in range(width)}


def _slices(bits: int, width: int) -> Iterator[slice]:
    for start in range(0, bits, width):
        yield slice(start, min(start + width, bits))


@dataclass(frozen=True)
class _Port:
    """One port of a true dual-port block RAM."""

    address: Value
    output: Signal | None = None
    enable: Value = field(default_factory=lambda: Const(1))
    advance: Value = field(default_factory=lambda: Const(1))
    write: Value = field(default_factory=lambda: Const(0))
    data: Value = field(default_factory=lambda: Const(0))


def _dual_port(width: int, *, a: _Port, b: _Port) -> Instance:
    rows = next(rows for rows, bits in SHAPES.items() if bits == width)
    ports: dict[str, Any] = {}
    for letter, port in (("A", a), ("B", b)):
        # the lowest address pins of the widest shape are byte enables
        low = Const(0b11 if width == SHAPES[1024] else 0, ADDRESS_PINS - bits_for_index(rows))
        ports |= _pins(f"i_AD{letter}", Cat(low, port.address), ADDRESS_PINS)
        ports |= _pins(f"i_DI{letter}", port.data, 18)
        if port.output is not None:
            ports |= {f"o_DO{letter}{i}": port.output[i] for i in range(width)}
        ports |= {
            f"i_CLK{letter}": ClockSignal(),
            f"i_CE{letter}": port.enable,
            f"i_OCE{letter}": port.advance,
            f"i_WE{letter}": port.write,
            f"i_RST{letter}": Const(0),
            **_pins(f"i_CS{letter}", Const(0), 3),
            f"p_DATA_WIDTH_{letter}": width,
            f"p_REGMODE_{letter}": "OUTREG",
            f"p_WRITEMODE_{letter}": "NORMAL",
            f"p_CSDECODE_{letter}": "0b000",
        }
    return Instance("DP16KD", p_GSR="DISABLED", p_RESETMODE="SYNC", **ports)


def _simple_dual_port(memory: "BlockMemory", written: Value, output: Signal) -> Instance:
    low = Const(0, ADDRESS_PINS - bits_for_index(WIDE_ROWS))
    return Instance(
        "PDPW16KD",
        **_pins("i_DI", written, WIDE_BITS),
        **_pins("i_ADW", memory.write.address, bits_for_index(WIDE_ROWS)),
        **_pins("i_BE", Const(0b1111), 4),
        i_CEW=memory.write.enable,
        i_CLKW=ClockSignal(),
        **_pins("i_CSW", Const(0), 3),
        **_pins("i_ADR", Cat(low, memory.address), ADDRESS_PINS),
        i_CER=memory.read,
        i_OCER=memory.advance,
        i_CLKR=ClockSignal(),
        **_pins("i_CSR", Const(0), 3),
        i_RST=Const(0),
        **{f"o_DO{i}": output[i] for i in range(WIDE_BITS)},
        p_DATA_WIDTH_W=WIDE_BITS,
        p_DATA_WIDTH_R=WIDE_BITS,
        p_REGMODE="OUTREG",
        p_RESETMODE="SYNC",
        p_CSDECODE_W="0b000",
        p_CSDECODE_R="0b000",
        p_GSR="DISABLED",
    )


class BlockMemory(Component):
    """A memory with a port to write and a port to read.

    Latency: two cycles from ``address`` to ``output``: the first one reads where ``read`` is set, and the second one
    moves the row to ``output`` where ``advance`` is set. Throughput: a row a cycle at each port. Handshake: none. The
    first ``zero_rows`` rows start as zeros, the others are undefined until they are written. A row must not be read in
    the cycle in which it is written.

    Args:
        shape: shape of a row.
        depth: number of rows.
        distributed: build the memory from lookup tables.
        zero_rows: rows that start as zeros.

    Attributes:
        write: the port to write.
        address, read: row to read, and whether to read.
        advance: move the row that was read last to ``output``.
        output: the row; it holds otherwise.
    """

    def __init__(self, *, shape: ShapeLike, depth: int, distributed: bool = False, zero_rows: int = 0) -> None:
        self._depth = depth
        self.zero_rows = zero_rows
        self._distributed = distributed
        address = bits_for_index(depth)
        super().__init__(
            {
                "write": In(MemoryWrite(shape, depth=depth)),
                "address": In(address),
                "read": In(1, init=1),
                "advance": In(1, init=1),
                "output": Out(shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Block RAMs for slices of a row; the tools split a memory that is deeper than one block RAM."""
        m = Module()
        if on_ecp5(platform) and not self._distributed and self._depth <= max(SHAPES):
            self._instances(m)
        elif self._distributed:
            self._tables(m, platform)
        else:
            bits = Value.cast(self.output).shape().width
            m.submodules.rows = rows = Memory(shape=unsigned(bits), depth=self._depth, init=[])
            write = rows.write_port()
            read = rows.read_port()
            output = Signal(bits, reset_less=True)
            m.d.comb += [
                write.addr.eq(self.write.address),
                write.data.eq(self.write.data),
                write.en.eq(self.write.enable),
                read.addr.eq(self.address),
                read.en.eq(self.read),
                self.output.eq(output),
            ]
            with m.If(self.advance):
                m.d.sync += output.eq(read.data)
        return m

    def _tables(self, m: Module, platform: object) -> None:
        """Lookup tables, which are read without a clock, with two ordinary registers."""
        bits = Value.cast(self.output).shape().width
        # families without such memories refuse the attribute, and a memory that is read without a clock needs none
        attributes = {"ram_style": "distributed"} if on_ecp5(platform) else {}
        m.submodules.rows = rows = Memory(shape=unsigned(bits), depth=self._depth, init=[], attrs=attributes)
        write = rows.write_port()
        found = rows.read_port(domain="comb")
        row, output = (Signal(bits, name=name, reset_less=True) for name in ("row", "output_row"))
        m.d.comb += [
            write.addr.eq(self.write.address),
            write.data.eq(self.write.data),
            write.en.eq(self.write.enable),
            found.addr.eq(self.address),
            self.output.eq(output),
        ]
        with m.If(self.read):
            m.d.sync += row.eq(found.data)
        with m.If(self.advance):
            m.d.sync += output.eq(row)

    def _instances(self, m: Module) -> None:
        output, written = Value.cast(self.output), Value.cast(self.write.data)
        outputs = []
        wide = self._depth <= WIDE_ROWS
        width = WIDE_BITS if wide else SHAPES[block_rows(self._depth)]
        for number, part in enumerate(_slices(len(output), width)):
            found = Signal(width, name=f"output_{number}")
            outputs.append(found[: part.stop - part.start])
            instance = (
                _simple_dual_port(self, written[part], found)
                if wide
                else _dual_port(
                    width,
                    a=_Port(self.write.address, write=self.write.enable, data=written[part]),
                    b=_Port(self.address, enable=self.read, advance=self.advance, output=found),
                )
            )
            m.submodules[f"block_{number}"] = instance
        m.d.comb += output.eq(Cat(outputs))


class PairMemory(Component):
    """A memory that reads two rows at once, or writes one at the first port.

    Latency: two cycles from ``address`` to ``output``. Throughput: two rows a cycle. Handshake: none. The first
    ``zero_rows`` rows start as zeros, the others are undefined until they are written. The second port must not read
    the row that is being written, and after a write the first port's output is undefined.

    Attributes:
        address: rows to read; the first one is written instead where ``write_enable`` is set.
        write_data: what to write.
        output: the rows read.
    """

    def __init__(self, *, bits: int, depth: int, zero_rows: int = 0) -> None:
        self.zero_rows = zero_rows
        self._bits = bits
        self._depth = depth
        super().__init__(
            {
                "address": In(data.ArrayLayout(bits_for_index(depth), 2)),
                "write_data": In(bits),
                "write_enable": In(1),
                "output": Out(data.ArrayLayout(bits, 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """True dual-port block RAMs for slices of a row."""
        m = Module()
        if on_ecp5(platform) and self._depth <= max(SHAPES):
            width = SHAPES[block_rows(self._depth)]
            outputs: list[list[Value]] = [[], []]
            for number, part in enumerate(_slices(self._bits, width)):
                found = [Signal(width, name=f"output_{number}_{port}") for port in range(2)]
                for port in range(2):
                    outputs[port].append(found[port][: part.stop - part.start])
                m.submodules[f"block_{number}"] = _dual_port(
                    width,
                    a=_Port(self.address[0], write=self.write_enable, data=self.write_data[part], output=found[0]),
                    b=_Port(self.address[1], output=found[1]),
                )
            m.d.comb += [self.output[port].eq(Cat(outputs[port])) for port in range(2)]
        else:
            m.submodules.rows = rows = Memory(shape=unsigned(self._bits), depth=self._depth, init=[])
            write = rows.write_port()
            m.d.comb += [
                write.addr.eq(self.address[0]),
                write.data.eq(self.write_data),
                write.en.eq(self.write_enable),
            ]
            for port in range(2):
                read = rows.read_port()
                output = Signal(self._bits, name=f"output_{port}", reset_less=True)
                m.d.comb += [read.addr.eq(self.address[port]), self.output[port].eq(output)]
                m.d.sync += output.eq(read.data)
        return m
