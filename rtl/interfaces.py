"""Interfaces between the components: named signatures, which ``amaranth.lib.wiring.connect`` joins.

A signature that is a ``Bundle`` names its signals as a waveform should show them: the member ``write`` of a component
with the parts ``data`` and ``enable`` has the signals ``write`` and ``write_enable``.

``connect`` joins parts in alphabetical order, and Amaranth numbers signals of the same name in a module in the order of
their joins. So another order of ``connect`` calls, or other names of parts, change the text of the Verilog.
"""

from typing import ClassVar

from amaranth.hdl import ShapeLike, Signal
from amaranth.lib.wiring import Out, PureInterface, Signature

from spikequant.rtl.shapes import bits_for_index


class Bundle(Signature):
    """A signature of ports without dimensions, whose signals are named with single underscores.

    Attributes:
        head: the part whose signal has the name of the bundle itself; empty if there is none.
    """

    head: ClassVar[str] = ""

    def create(self, *, path: tuple[str | int, ...] | None = None, src_loc_at: int = 0) -> PureInterface:
        """An interface object; the last step of ``path`` is the name of the bundle."""
        interface = PureInterface(self, path=path, src_loc_at=1 + src_loc_at)
        name = "__".join(map(str, path or ("bundle",)))
        for part, member in self.members.items():
            signal = Signal(member.shape, init=member.init, name=name if part == self.head else f"{name}_{part}")
            setattr(interface, part, signal)
        return interface


class Flow(Bundle):
    """A stream without back-pressure: ``value`` is valid in a cycle with ``valid``, and is always taken."""

    head = "value"

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"valid": Out(1), "value": Out(shape)})


class Write(Bundle):
    """A write, whose address is in ``data``: it happens in a cycle with ``enable``."""

    head = "data"

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"data": Out(shape), "enable": Out(1)})


class MemoryWrite(Bundle):
    """A write port of a memory with ``depth`` rows: ``data`` goes to row ``address`` in a cycle with ``enable``."""

    def __init__(self, shape: ShapeLike, *, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth: {depth}, expected at least 1")
        super().__init__({"address": Out(bits_for_index(depth)), "data": Out(shape), "enable": Out(1)})


class BufferEvent(Bundle):
    """An event in one of the two score buffers: in a cycle with ``active``, it happens in buffer ``buffer``."""

    head = "active"

    def __init__(self) -> None:
        super().__init__({"active": Out(1), "buffer": Out(1)})
