"""Interfaces between the components: named signatures, which ``amaranth.lib.wiring.connect`` joins.

A signature that is a ``Bundle`` names its signals as a waveform should show them: the member ``write`` of a component
with the parts ``data`` and ``enable`` has the signals ``write`` and ``write_enable``. Each class says which of its
parts, if any, has the bundle's own name.
"""

from typing import Any, ClassVar

from amaranth.hdl import ShapeLike, Signal
from amaranth.lib.wiring import In, Out, PureInterface, Signature

from spikequant.rtl.shapes import bits_for_index


class Bundle(Signature):
    """A signature of ports without dimensions, whose signals are named with single underscores.

    Attributes:
        head: name of the part whose signal has the name of the bundle; empty if there is none.
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

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Bundle) and self.members == other.members

    __hash__ = None  # type: ignore[assignment]


class Flow(Bundle):
    """Payloads that are never refused: ``payload`` means something where ``valid`` is set."""

    head = "payload"

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"payload": Out(shape), "valid": Out(1)})


class Write(Bundle):
    """What to write to a memory or a list, and where: ``data`` is written where ``enable`` is set."""

    head = "data"

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"data": Out(shape), "enable": Out(1)})


class MemoryWrite(Bundle):
    """The writing port of a memory with ``depth`` rows: ``data`` goes to row ``address`` where ``enable`` is set."""

    def __init__(self, shape: ShapeLike, *, depth: int) -> None:
        super().__init__({"address": Out(bits_for_index(depth)), "data": Out(shape), "enable": Out(1)})


class BufferEvent(Bundle):
    """A pulse for something that happened in one of the two score buffers, which is number ``buffer``."""

    head = "pulse"

    def __init__(self) -> None:
        super().__init__({"pulse": Out(1), "buffer": Out(1)})
