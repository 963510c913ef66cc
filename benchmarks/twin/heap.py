"""Compression of the bits of products by carry chains, until a neuron's products are one number.

An unsigned weight times a level in two's complement is a heap of one-bit products in columns of equal weight. A carry
chain takes two bits of each column of a range, and a third one of its lowest column as its carry-in, and leaves one of
each and its carry-out. So every lookup table but one a chain removes a bit from the heap, and long chains need the
fewest.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ProductBit:
    """A bit of a lane's weight and a bit of its level.

    The level's sign bit counts negative. Instead, its product takes the ``inverted`` bit of the weight, and the whole
    is too large by ``2**(level_bits - 1) * (2**weight_bits - 1)`` where the level is negative, whatever the weight.
    """

    lane: int
    weight_bit: int
    level_bit: int
    inverted: bool


@dataclass(frozen=True)
class SumBit:
    """A bit of the previous layer, by its place in that layer's results."""

    place: int


HeapBit = ProductBit | SumBit


@dataclass(frozen=True)
class ChainSum:
    """A sum on a carry chain.

    Attributes:
        low: its lowest column.
        pairs: one or two bits a column.
        carry: another bit of the lowest column, or None.
        carry_out: whether it has a bit above its columns.
    """

    low: int
    pairs: tuple[tuple[HeapBit, HeapBit | None], ...]
    carry: HeapBit | None
    carry_out: bool


@dataclass(frozen=True)
class Layer:
    """Sums at the same time, and the bits that bypass them.

    Attributes:
        sums: the sums; their bits, in order, are the first results.
        passed: bits that no sum takes, which are the remaining results.
    """

    sums: tuple[ChainSum, ...]
    passed: tuple[HeapBit, ...]


@dataclass(frozen=True)
class Plan:
    """Layers of sums from products to one number.

    Attributes:
        layers: the layers, in order.
        columns: for each bit of the number, lowest first, its place in the last layer's results.
    """

    layers: tuple[Layer, ...]
    columns: tuple[int, ...]


Heap = dict[int, list[HeapBit]]


def total_bits(*, lanes: int, weight_bits: int, level_bits: int) -> int:
    """Width of the number that a plan ends with: every lane has at most the inverted products of its sign."""
    return (lanes * (2**weight_bits - 1) << (level_bits - 1)).bit_length()


def plan_sums(*, lanes: int, weight_bits: int, level_bits: int) -> Plan:
    """Layers of sums for ``lanes`` products of a weight and a level."""
    width = total_bits(lanes=lanes, weight_bits=weight_bits, level_bits=level_bits)
    heap: Heap = {}
    for weight_bit in range(weight_bits):
        for level_bit in range(level_bits):
            inverted = level_bit == level_bits - 1
            products = (ProductBit(lane, weight_bit, level_bit, inverted) for lane in range(lanes))
            heap.setdefault(weight_bit + level_bit, []).extend(products)
    layers: list[Layer] = []
    while not layers or max(map(len, heap.values())) > 1:
        sums = _last_sum(heap, width) if max(map(len, heap.values())) == 2 else _sums(heap, width)
        passed = [(column, bit) for column in sorted(heap) for bit in heap[column]]
        layers.append(Layer(sums=tuple(sums), passed=tuple(bit for _, bit in passed)))
        heap = _results(sums, (column for column, _ in passed))
    places = {column: bit.place for column, bits in heap.items() for bit in bits if isinstance(bit, SumBit)}
    return Plan(layers=tuple(layers), columns=tuple(places[column] for column in sorted(places)))


def _sums(heap: Heap, width: int) -> list[ChainSum]:
    """Sum the longest ranges of columns with two bits, and remove them from the heap."""
    sums = []
    while ranges := _ranges(heap):
        low, high = max(ranges, key=lambda columns: columns[1] - columns[0])
        # what comes out of the longest chain is ready last, and of bits alike the oldest go first
        pairs = tuple((heap[column].pop(0), heap[column].pop(0)) for column in range(low, high + 1))
        carry = heap[low].pop(0) if heap[low] else None
        sums.append(ChainSum(low=low, pairs=pairs, carry=carry, carry_out=high + 1 < width))
    return sums


def _last_sum(heap: Heap, width: int) -> list[ChainSum]:
    """One sum from the lowest column with two bits to the top, which leaves one bit in each."""
    low = min(column for column, bits in heap.items() if len(bits) == 2)
    pairs: list[tuple[HeapBit, HeapBit | None]] = []
    for column in range(low, width):
        bits = heap.pop(column, [])
        if not bits:
            return [ChainSum(low=low, pairs=tuple(pairs), carry=None, carry_out=True), *_rest(heap, width)]
        pairs.append((bits[0], bits[1] if len(bits) == 2 else None))
    return [ChainSum(low=low, pairs=tuple(pairs), carry=None, carry_out=False)]


def _rest(heap: Heap, width: int) -> list[ChainSum]:
    return _last_sum(heap, width) if any(len(bits) == 2 for bits in heap.values()) else []


def _ranges(heap: Heap) -> list[tuple[int, int]]:
    """Ranges of columns with two bits or more, first and last."""
    ranges: list[tuple[int, int]] = []
    for column in sorted(column for column, bits in heap.items() if len(bits) >= 2):
        if ranges and ranges[-1][1] == column - 1:
            ranges[-1] = (ranges[-1][0], column)
        else:
            ranges.append((column, column))
    return ranges


def _results(sums: list[ChainSum], passed: Iterable[int]) -> Heap:
    """The heap after a layer."""
    columns: list[int] = []
    for each in sums:
        columns += range(each.low, each.low + len(each.pairs) + each.carry_out)
    heap: Heap = {}
    for place, column in enumerate([*columns, *passed]):
        heap.setdefault(column, []).append(SumBit(place))
    return heap
