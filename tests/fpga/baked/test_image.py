"""Where weights are: in an image of the synapse memory, and in block RAMs."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.fpga.baked.image import (
    block_contents,
    block_width,
    image_shape,
    image_text,
    read_image,
    synapse_blocks,
    weights_image,
)
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.packets import weights_packet
from spikequant.rtl.fabric.memory import block_rams

SPECS = [
    PRESETS["tiny"],
    PRESETS["max45"],
    Spec(neurons=8, lanes=1, depth=600),
    Spec(neurons=8, lanes=2, depth=4000, weight_bits=8),
    Spec(neurons=48, lanes=8, depth=64, weight_bits=2, clusters=3),
]


def random_image(spec: Spec, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, size=image_shape(spec), dtype=np.uint8)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_each_bit_of_the_image_is_in_one_block_ram(spec: Spec) -> None:
    blocks = synapse_blocks(spec)
    part = spec.cluster
    each = block_rams(part.neurons * part.weight_bits, spec.memory_rows, dual=spec.lanes > 1)
    assert len({block.name for block in blocks}) == len(blocks) == spec.clusters * spec.pairs * each
    columns = [column for block in blocks for column in range(block.columns.start, block.columns.stop)]
    assert columns == list(range(image_shape(spec)[1]))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_weight_is_in_the_row_and_at_the_place_of_its_lane_and_neuron(spec: Spec) -> None:
    codes = np.zeros((spec.lanes + 3, spec.neurons), np.uint8)
    codes[spec.lanes + 2, 5] = 1
    image = weights_image(spec, [weights_packet(spec, first_input=2 * spec.lanes, codes=codes)])
    ((row, column),) = np.argwhere(image)
    # it is the third row of lane 2 modulo the lanes, whose pair has two inputs of each row of lanes
    lane = 2 % spec.lanes
    assert row == 1 + (3 + 2 // spec.lanes) * spec.pair_lanes + lane % spec.pair_lanes
    cluster, neuron = divmod(5, spec.cluster.neurons)
    memory = cluster * spec.pairs + lane // spec.pair_lanes
    assert column == (memory * spec.cluster.neurons + neuron) * spec.weight_bits
    # and in the block RAM of its column, in words of nine bits, of which narrow rows use eight
    width = block_width(spec)
    number, place = divmod(neuron * spec.weight_bits, width)
    found = {name: content for name, content in block_contents(spec, image).items() if content.any()}
    ((name, content),) = found.items()
    assert name.startswith(f"cluster_{cluster}.array.synapses.memory")
    assert name.endswith(f".block_{number}")
    used = 9 if width >= 9 else 8
    word, bit = divmod(row * width + place, used)
    assert content.nonzero()[0].tolist() == [word]
    assert content[word] == 1 << bit


@given(seed=st.integers(0, 2**32 - 1))
def test_an_image_survives_its_text(seed: int) -> None:
    spec = PRESETS["tiny"]
    image = random_image(spec, seed)
    np.testing.assert_array_equal(read_image(image_text(image), spec, source="here"), image)


@pytest.mark.parametrize("damage", [lambda text: text[9:], lambda text: "g" + text[1:], lambda text: text + "\n0"])
def test_a_text_that_is_no_image_is_refused(damage: Callable[[str], str]) -> None:
    spec = PRESETS["tiny"]
    expected = r"^here: no image of the synapse memory, expected 1024 lines of 8 digits each$"
    with pytest.raises(InputError, match=expected):
        read_image(damage(image_text(random_image(spec, 1))), spec, source="here")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Spec(neurons=8, lanes=2, depth=40_000), "depth: 40000 inputs are 40001 rows, expected at most 16384"),
        (Spec(neurons=8, lanes=1, depth=64), "lanes: weights for one lane with 64 inputs cannot be baked"),
        (Spec(neurons=8, lanes=2, depth=64, weight_parity=True), "weight_parity: baked weights have no parity"),
    ],
)
def test_block_rams_whose_layout_is_not_known_are_refused(spec: Spec, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        block_width(spec)
