"""Energy of operations: published constants with their sources, and the rules that scale them.

Horowitz's figures are pJ in 45 nm at 0.9 V. The 22 nm figures are those of Yan, Bai, Tang and Wong. Their article's
tables were not available; the constants are taken from two public descriptions of it, which agree. A constant that
neither source has is scaled from one of theirs, as its entry states.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikequant.golden.energy.work import Kind, Work

HOROWITZ = "M. Horowitz, Computing's energy problem, ISSCC 2014, doi 10.1109/ISSCC.2014.6757323, figure 1.1.9"
RECONSIDERED = "Z. Yan et al., Reconsidering the energy efficiency of spiking neural networks, arXiv 2409.08290"


@dataclass(frozen=True)
class Constant:
    """One number of an energy model.

    Attributes:
        name: unique in its model.
        value: in ``unit``.
        unit: pJ, pJ/bit, or a ratio.
        source: publication, or the scaling from one.
    """

    name: str
    value: float
    unit: str
    source: str


Price = Callable[[Mapping[str, float], int, int], float]
"""pJ of one operation, from constants by name and the widths of its operands in bits."""


@dataclass(frozen=True)
class EnergyModel:
    """Prices of operations.

    Attributes:
        name: identifier in files.
        title: name in tables.
        rules: how prices follow from the constants, a sentence each.
        constants: every number that the prices use.
        prices: by kind of operation; a kind without a price costs nothing.
    """

    name: str
    title: str
    rules: tuple[str, ...]
    constants: tuple[Constant, ...]
    prices: Mapping[Kind, Price]

    def energy(self, work: Work) -> float:
        """Energy of some work in pJ; 0 for kinds that the model leaves out."""
        price = self.prices.get(work.kind)
        values = {constant.name: constant.value for constant in self.constants}
        return work.count * price(values, work.bits, work.by_bits) if price else 0.0

    @property
    def left_out(self) -> tuple[Kind, ...]:
        """Kinds that cost nothing here."""
        return tuple(kind for kind in Kind if kind not in self.prices)


def _integer_add(values: Mapping[str, float], bits: int, _by_bits: int) -> float:
    """Linear in the width, through the additions of 8 and 32 bits."""
    narrow, wide = values["integer add, 8 bits"], values["integer add, 32 bits"]
    return narrow + (bits - 8) * (wide - narrow) / (32 - 8)


def _integer_multiply(values: Mapping[str, float], bits: int, by_bits: int) -> float:
    """In proportion to the product of the widths, from 8 x 8 bits."""
    return values["integer multiply, 8 x 8 bits"] * bits * by_bits / 64


def _float(operation: str) -> Price:
    """The constant for a float operation and its width."""
    return lambda values, bits, _by_bits: values[f"float {operation}, {bits} bits"]


def _one(name: str) -> Price:
    """A constant, whatever the widths."""
    return lambda values, _bits, _by_bits: values[name]


def _scaled(price: Price) -> Price:
    """A 45 nm price in 22 nm."""
    return lambda values, bits, by_bits: price(values, bits, by_bits) * values["22 nm in parts of 45 nm"]


_MULTIPLY_AND_FLOAT = (
    Constant("integer multiply, 8 x 8 bits", 0.2, "pJ", HOROWITZ),
    Constant("float add, 16 bits", 0.4, "pJ", HOROWITZ),
    Constant("float add, 32 bits", 0.9, "pJ", HOROWITZ),
    Constant("float multiply, 16 bits", 1.1, "pJ", HOROWITZ),
    Constant("float multiply, 32 bits", 3.7, "pJ", HOROWITZ),
)

_MULTIPLY_RULE = (
    "A multiplication of a x b bits costs (a b / 64) of the 8 x 8 one (4 x 4: 0.05 pJ in 45 nm). The rule gives "
    "3.2 pJ at 32 x 32, where the same source has 3.1."
)

OPERATIONS_45 = EnergyModel(
    name="45nm-operations",
    title="45 nm, operations alone",
    rules=(
        "An integer addition of b bits lies on the line through 8 bits (0.03 pJ) and 32 bits (0.1 pJ): "
        "0.0183 pJ at 4 bits, 0.0504 at 15.",
        _MULTIPLY_RULE,
        "Memory, registers and wires cost nothing.",
    ),
    constants=(
        Constant("integer add, 8 bits", 0.03, "pJ", HOROWITZ),
        Constant("integer add, 32 bits", 0.1, "pJ", HOROWITZ),
        *_MULTIPLY_AND_FLOAT,
    ),
    prices={
        Kind.INTEGER_ADD: _integer_add,
        Kind.INTEGER_MULTIPLY: _integer_multiply,
        Kind.FLOAT_ADD: _float("add"),
        Kind.FLOAT_MULTIPLY: _float("multiply"),
    },
)

_CONSTANTS_22 = (
    Constant(
        "accumulate, compare or subtract",
        0.05448,
        "pJ",
        f"{RECONSIDERED}: E_ACC = E_CMP = E_SUB, synthesis in a commercial 22 nm library, 0.80 V, 25 C, 1 GHz",
    ),
    Constant(
        "22 nm in parts of 45 nm",
        0.5448,
        "ratio",
        "scaled: 0.05448 pJ over Horowitz's 0.1 pJ for a 32-bit addition",
    ),
    *_MULTIPLY_AND_FLOAT,
    Constant(
        "small memory, read or write", 10 / 64, "pJ/bit", f"{HOROWITZ}: 10 pJ for 64 bits of an 8 kB memory, in 45 nm"
    ),
    Constant(
        "code moved to the next tile",
        0.25,
        "pJ/bit",
        f"{RECONSIDERED}: dense movement by one hop of a circuit-switched network in 22 nm",
    ),
)

_PRICES_22: dict[Kind, Price] = {
    Kind.INTEGER_ADD: _one("accumulate, compare or subtract"),
    Kind.INTEGER_MULTIPLY: _scaled(_integer_multiply),
    Kind.FLOAT_ADD: _scaled(_float("add")),
    Kind.FLOAT_MULTIPLY: _scaled(_float("multiply")),
    Kind.WEIGHT_READ: _scaled(_one("small memory, read or write")),
    Kind.STATE_ACCESS: _scaled(_one("small memory, read or write")),
    Kind.CODE_MOVE: _one("code moved to the next tile"),
}

_PRICES_22_CODES = _PRICES_22 | {Kind.SPIKE_CODE_MOVE: _one("code moved to the next tile")}


_RULES_22 = (
    "Every integer addition, comparison or subtraction is one accumulation, whatever its width.",
    _MULTIPLY_RULE,
    "Multiplications, float operations and memories cost 0.5448 of their 45 nm figure.",
    "An input moves one hop for each tile of outputs, an output one hop.",
)

ON_CHIP_22 = EnergyModel(
    name="22nm-on-chip",
    title="22 nm, weights on the chip",
    rules=(*_RULES_22, "All weights are in small memories next to the array.", "Inputs that spike arrive as codes."),
    constants=_CONSTANTS_22,
    prices=_PRICES_22_CODES,
)

ROUTED_22 = EnergyModel(
    name="22nm-routed-spikes",
    title="22 nm, weights on the chip, spikes routed one by one",
    rules=(*_RULES_22, "All weights are in small memories next to the array.", "Inputs that spike arrive as spikes."),
    constants=(
        *_CONSTANTS_22,
        Constant(
            "spike moved to the next tile",
            3.0,
            "pJ",
            f"{RECONSIDERED}: sparse movement by one hop, from the routing energy reported for Intel's Loihi",
        ),
    ),
    prices=_PRICES_22 | {Kind.SPIKE_MOVE: _one("spike moved to the next tile")},
)

MAIN_MEMORY_22 = EnergyModel(
    name="22nm-main-memory",
    title="22 nm, weights from main memory",
    rules=(
        *_RULES_22,
        "The weights of every input that takes part are fetched once a token (batch 1), then read next to the array.",
        "Inputs that spike arrive as codes.",
    ),
    constants=(
        *_CONSTANTS_22,
        Constant(
            "main memory, read",
            1300 / 64,
            "pJ/bit",
            f"{RECONSIDERED}: 1300 pJ for 64 bits of DRAM; the low end of Horowitz's 1.3 to 2.6 nJ",
        ),
    ),
    prices=_PRICES_22_CODES | {Kind.WEIGHT_FETCH: _one("main memory, read")},
)

MODELS = (OPERATIONS_45, ON_CHIP_22, ROUTED_22, MAIN_MEMORY_22)
"""Every energy model, in the order of the tables."""
