"""What passes between the parts of the memory: requests, words, pins."""

from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from spikequant.fpga.sdram.timing import SdramChip
from spikequant.golden.layer.spec import WORD_BITS

ADDRESS_BITS = 24
"""Width of the address of a 32-bit word: 64 MB."""

COUNT_BITS = 16
"""Width of a number of words."""

BANK_BITS = 2
DATA_BITS = 16
MASK_BITS = 2
ALL_BANKS = 10
"""Address pin that is high for a PRECHARGE of all banks, and low for a READ or WRITE without a PRECHARGE behind it."""

ReadLayout = data.StructLayout({"count": COUNT_BITS, "last": 1})
"""What a request to read says besides the address, in the place of the word to write."""

RequestLayout = data.StructLayout({"write": 1, "address": ADDRESS_BITS, "payload": WORD_BITS})
"""To write a word, or to read ``ReadLayout.count`` of them from there on, at least one."""

WordLayout = data.StructLayout({"data": WORD_BITS, "end": 1, "last": 1})
"""A word read; ``end``: the last one of its request; ``last``: and the request says ``last``."""


def burst_layout(chip: SdramChip) -> data.StructLayout:
    """Words in one row of one bank: to write one, or to read ``count``."""
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
    """The pins of a chip from the controller's side, active high but for their names; the clock is not among them."""

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
