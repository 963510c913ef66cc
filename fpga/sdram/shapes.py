"""Layouts of requests, words and pins between the parts of the memory."""

from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from spikequant.fpga.sdram.timing import SdramChip
from spikequant.golden.layer.spec import WORD_BITS

ADDRESS_BITS = 24
"""Width of the address of a 32-bit word: 64 MB."""

COUNT_BITS = 16
"""Width of a count of words."""

BANK_BITS = 2
DATA_BITS = 16
MASK_BITS = 2
ALL_BANKS = 10
"""Address pin that is high for a PRECHARGE of all banks, and low for a READ or WRITE without auto-precharge."""

ReadLayout = data.StructLayout({"count": COUNT_BITS, "last": 1})
"""Fields of a read request, in place of the word to write."""

RequestLayout = data.StructLayout({"write": 1, "address": ADDRESS_BITS, "payload": WORD_BITS})
"""Request to write a word, or to read ``ReadLayout.count`` words, at least one, from an address on."""

WordLayout = data.StructLayout({"data": WORD_BITS, "end": 1, "last": 1})
"""A word read; ``end``: the last word of its request; ``last``: the last word of a request with ``last``."""


def burst_layout(chip: SdramChip) -> data.StructLayout:
    """Burst in one row of one bank: write one word, or read ``count`` words."""
    return data.StructLayout(
        {
            "write": 1,
            "row": chip.row_bits,
            "bank": BANK_BITS,
            "place": chip.column_bits - 1,
            "count": chip.column_bits,
            "payload": WORD_BITS,
        }
    )


class PinsSignature(Signature):
    """Pins of a chip from the controller's side, all active high, without the clock."""

    def __init__(self, chip: SdramChip) -> None:
        super().__init__(
            {
                "clk_en": Out(1),
                "ras": Out(1),
                "cas": Out(1),
                "we": Out(1),
                "ba": Out(BANK_BITS),
                "a": Out(chip.row_bits),
                "dqm": Out(MASK_BITS, init=2**MASK_BITS - 1),
                "dq_o": Out(DATA_BITS),
                "dq_oe": Out(1),
                "dq_i": In(DATA_BITS),
            }
        )
