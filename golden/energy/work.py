"""Operations that cost energy, with their number, widths and purpose."""

from dataclasses import dataclass
from enum import StrEnum


class Component(StrEnum):
    """Purpose of an operation; the parts of a bar in the plot."""

    MULTIPLY = "multiply"
    ADD = "add products or weights"
    TICK = "add ticks"
    NEURON = "update neurons"
    SCALE = "dequantize or read out"
    CODE = "code and sort inputs"
    WEIGHT = "read weights"
    FETCH = "fetch weights"
    MOVE = "move activations"
    STATE = "keep neuron state"


class Kind(StrEnum):
    """Operations that have a price."""

    INTEGER_ADD = "integer additions"
    INTEGER_MULTIPLY = "integer multiplications"
    FLOAT_ADD = "float additions"
    FLOAT_MULTIPLY = "float multiplications"
    WEIGHT_READ = "weight bits read"
    WEIGHT_FETCH = "weight bits fetched"
    STATE_ACCESS = "state bits read and written"
    CODE_MOVE = "activation bits moved"
    SPIKE_CODE_MOVE = "activation bits moved for neurons that spike"
    SPIKE_MOVE = "spikes routed"


@dataclass(frozen=True)
class Work:
    """Operations of one kind and width in one layer for one token.

    Attributes:
        component: purpose.
        kind: operation. Inputs of spiking neurons arrive as codes that become spikes next to the array
            (``SPIKE_CODE_MOVE``) or as spikes (``SPIKE_MOVE``); both are listed, and an energy model prices one.
        count: mean number; of bits for reads, accesses and moves of bits.
        bits: width of an addition, or of a multiplication's first factor; 1 otherwise.
        by_bits: width of a multiplication's second factor; 1 otherwise.
    """

    component: Component
    kind: Kind
    count: float
    bits: int = 1
    by_bits: int = 1
