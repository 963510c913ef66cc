"""What packets mean, against the integer level, and what they may not ask for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packet_model import PacketModel, UnspecifiedError
from spikequant.rtl.driver.packets import neurons_packet, run_packet, weights_packet
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.shapes import Half

SPEC = Spec(neurons=8, lanes=2, depth=16, membrane_slots=3)


@given(
    outputs=st.integers(1, 20),
    inputs=st.integers(1, 40),
    wide=st.sampled_from([0, 1, 7]),
    brief=st.booleans(),
    seed=st.integers(0, 999),
)
def test_a_drivers_packets_mean_the_layer(outputs: int, inputs: int, wide: int, brief: bool, seed: int) -> None:
    vectors = random_vectors(
        SPEC, outputs=outputs, inputs=inputs, tokens=4, wide=min(wide, inputs), salient_fraction=0.2, seed=seed
    )
    golden = run_layer(vectors, SPEC)
    program = layer_program(SPEC, vectors, brief=brief)
    model = PacketModel(SPEC)
    completed = [found for packet in program.packets if (found := model.take(packet)) is not None]
    assert len(completed) == len(program.places)
    for place, found in zip(program.places, completed, strict=True):
        count = place.outputs.stop - place.outputs.start
        assert found.brief is brief
        assert found.slot == place.token % SPEC.membrane_slots
        assert found.membrane[:count].tolist() == golden.membrane[place.token, place.outputs].tolist()
        assert found.code[:count].tolist() == golden.code[place.token, place.outputs].tolist()
        assert found.saturated[:count].tolist() == golden.saturated[place.token, place.outputs].tolist()


def test_what_was_never_sent_may_not_run() -> None:
    vectors = random_vectors(SPEC, outputs=8, inputs=16, tokens=1, seed=1)
    neurons, weights, codes, run = layer_program(SPEC, vectors).packets

    def refused(*packets: np.ndarray) -> str:
        model = PacketModel(SPEC)
        for packet in packets[:-1]:
            assert model.take(packet) is None
        with pytest.raises(UnspecifiedError) as caught:
            model.take(packets[-1])
        return str(caught.value)

    assert refused(neurons, weights, run) == "packet 2: no score in buffer 0 at 0"
    assert refused(neurons, codes, run) == "packet 2: weights that were never loaded"
    middle = run_packet(buffer=0, shift=0, first_input=0, slot=1, first=False, last=True, half=Half.WHOLE)
    assert refused(neurons, weights, codes, middle) == "packet 3: slot 1 was never begun"
    beyond = run_packet(buffer=0, shift=0, first_input=14, slot=0, first=True, last=True, half=Half.WHOLE)
    assert refused(neurons, weights, codes, beyond) == "packet 3: inputs beyond the weights"
    assert refused(np.array([15], np.uint32)).startswith("packet 0: ")


def test_constants_of_some_neurons_leave_the_others_alone() -> None:
    vectors = random_vectors(SPEC, outputs=8, inputs=16, tokens=1, extremes=False, seed=2)
    neurons, _, codes, run = layer_program(SPEC, vectors).packets
    ones = weights_packet(SPEC, first_input=0, codes=np.ones((16, 8), np.uint8))
    changed = neurons_packet(
        theta=np.array([1], np.uint32), bias=np.array([-5], np.int32), zero=np.array([3], np.uint8), first_neuron=6
    )
    model = PacketModel(SPEC)
    for packet in (neurons, ones, codes, changed):
        assert model.take(packet) is None
    found = model.take(run)
    assert found is not None
    assert found.zero.tolist() == [*vectors.w_zero[:6].tolist(), 3, int(vectors.w_zero[7])]
    assert found.membrane[6] == -2 * int(vectors.level.sum()) - 5
