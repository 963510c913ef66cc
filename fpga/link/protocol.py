"""Protocol of the serial line, for host and board; ``docs/protocol.md`` describes it.

Each direction is a stream of 32-bit words, counted from the beginning of a session; the count is a word's position.
Frames carry parts of the stream. A frame has payload words, the two words of ``Control``, and a check. The control
words come last because only then the sender knows whether the last payload word ends a packet.
"""

import json
from dataclasses import dataclass

from amaranth.hdl import unsigned
from amaranth.lib import data, enum

from spikequant.fpga.sdram.packets import LAYOUTS
from spikequant.fpga.sdram.timing import SdramChip
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.store import digest_of
from spikequant.rtl.driver.layouts import words_in
from spikequant.rtl.shapes import Code, CodesHeader, NeuronsHeader, Result, ResultHeader, RunHeader, WeightsHeader

VERSION = 2
"""Version of this protocol. Version 1 had neither sessions nor positions."""

MAGIC = 0x5153
"""First half-word of a board's HELLO."""

POSITION_BITS = 12
"""Positions are counted modulo two to this power, which is eight times the default size of a buffer."""

BUFFER_WORDS = 512
"""Size of a board's buffer in each direction, in words: one block RAM."""

MAX_SIZE = 7
"""Binary logarithm of the most payload words of a frame."""

NAME_BYTES = 16
"""Length of a design's name, in ASCII, padded with zeros."""

DIGEST_BITS = 64
"""Bits of a design's digest."""

MIN_BAUD = 1200
"""Lowest speed in bits a second; the longest frame, all of it escaped, then arrives before the host gives up."""

KILOCYCLE = 1024
"""Clock cycles in the board's unit of time."""


class Kind(enum.IntEnum, shape=4):
    """Kind of a frame.

    HELLO from the host opens a session; from the board it is the answer, with a ``Hello`` as payload.
    DATA carries words of the stream.
    STATE has only control words.
    """

    HELLO = 1
    DATA = 2
    STATE = 3


class Control(data.Struct):
    """The two words after a frame's payload.

    ``last``: the last payload word ends a packet.
    ``again``: the sender of this frame misses words; resend from ``acknowledge`` on.
    ``sequence``: position of the first payload word; without payload, of the next word to send.
    ``acknowledge``: position of the next word that the sender of this frame expects.
    ``limit``, from the board: position of the first word that its buffer has no room for.
    ``size``, from the host: binary logarithm of the most payload words that the board may send in a frame.
    ``session``: number of the session, drawn by the host; 0 means none.
    """

    kind: Kind
    last: unsigned(1)
    again: unsigned(1)
    reserved: unsigned(2)
    sequence: unsigned(POSITION_BITS)
    acknowledge: unsigned(POSITION_BITS)
    limit: unsigned(POSITION_BITS)
    size: unsigned(4)
    session: unsigned(16)


class Hello(data.Struct):
    """Identity and counters of a board; counters of frames are since power-up.

    ``magic``, ``version``: ``MAGIC`` and ``VERSION``, at the same place in every version.
    ``name``, ``digest``: the design.
    ``buffer_words``: size of its buffer for words from the host.
    ``damaged``: frames with a wrong check.
    ``refused``: whole frames of another session, of an unknown kind or out of sequence.
    ``overruns``: frames that found the buffer full.
    ``kilocycles``: time since the session began, in 1,024 clock cycles.
    """

    magic: unsigned(16)
    version: unsigned(16)
    digest: unsigned(DIGEST_BITS)
    name: unsigned(8 * NAME_BYTES)
    buffer_words: unsigned(16)
    reserved: unsigned(16)
    damaged: unsigned(32)
    refused: unsigned(32)
    overruns: unsigned(32)
    kilocycles: unsigned(32)


CONTROL_WORDS = words_in(Control)
HELLO_WORDS = words_in(Hello)


@dataclass(frozen=True)
class Identity:
    """Identity of a board's design.

    Attributes:
        name: name of the component, at most ``NAME_BYTES`` ASCII characters.
        digest: digest of its spec and of the packets' layouts, ``DIGEST_BITS`` bits.
    """

    name: str
    digest: int

    @property
    def name_bits(self) -> int:
        """The name as a number, for ``Hello``."""
        return int.from_bytes(self.name.encode("ascii"), "little")


WITH_MEMORY = "+DRAM"
"""Suffix of the name of a design with a memory."""


def identify(design: str, spec: Spec, *, chip: SdramChip | None = None) -> Identity:
    """Identity of a component with class name ``design``, of a spec, and of a memory if there is one."""
    layouts: tuple[type[data.Struct], ...] = (
        WeightsHeader,
        NeuronsHeader,
        CodesHeader,
        RunHeader,
        Code,
        ResultHeader,
        Result,
    )
    if chip is not None:
        layouts += LAYOUTS
    packets = {
        layout.__name__: [(name, field.offset, field.width) for name, field in data.Layout.cast(layout)]
        for layout in layouts
    }
    parts = [json.dumps(spec.model_dump(), sort_keys=True), json.dumps(packets, sort_keys=True)]
    name = design[:NAME_BYTES]
    if chip is not None:
        # only the size of the chip matters
        parts.append(json.dumps([chip.row_bits, chip.column_bits]))
        name = design[: NAME_BYTES - len(WITH_MEMORY)] + WITH_MEMORY
    return Identity(name=name, digest=int(digest_of(parts)[: DIGEST_BITS // 4], 16))
