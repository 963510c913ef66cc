"""What is expected of levels, against random ones."""

import numpy as np
import pytest

from spikequant.fpga.estimate.expectation import expected_beats
from spikequant.golden.layer.spec import Spec


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
@pytest.mark.parametrize("share", [0.003, 0.08, 0.4])
def test_beats_are_the_average_of_random_levels(lanes: int, share: float) -> None:
    spec = Spec(lanes=lanes, depth=2048)
    inputs = 512
    fires = np.random.default_rng(1).random((4000, inputs // lanes, spec.pairs, spec.pair_lanes)) < share
    counts = fires.sum(axis=(1, 3))
    beats = (-(-counts // spec.pair_lanes)).max(axis=1).mean()
    assert expected_beats(spec, inputs, share) == pytest.approx(beats, rel=0.02)
