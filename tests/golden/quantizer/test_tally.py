"""Counts over levels."""

import torch

from spikequant.golden.quantizer.encode import Levels
from spikequant.golden.quantizer.tally import HISTOGRAM_REACH, Ratio, Tally


def made_levels() -> Levels:
    """Two tokens of four values."""
    return Levels(
        level=torch.tensor([[0.0, -0.0, 5.0, -40.0], [-32.0, 33.0, 1.0, 1.0]]),
        scale=1.0,
        zero=7,
        salient=torch.tensor([[False, False, False, True], [True, True, False, False]]),
        shift=torch.zeros(2, dtype=torch.int32),
        offset=torch.zeros(2, dtype=torch.int32),
        clipped=torch.tensor([True, False]),
    )


def test_everything_is_counted_and_adds_up() -> None:
    tally = Tally(histogram=True)
    for _ in range(2):
        tally.add(made_levels())
    assert (tally.tokens, tally.values, tally.salient, tally.silent, tally.clipped_tokens) == (4, 16, 6, 4, 2)
    assert tally.histogram is not None
    counts = {i - HISTOGRAM_REACH: n for i, n in enumerate(tally.histogram.tolist()) if n}
    # levels farther out are in the outermost bins
    assert counts == {-32: 4, 0: 4, 1: 4, 5: 2, 32: 2}
    assert Tally().histogram is None


def test_a_ratio_starts_anew_when_taken() -> None:
    ratio = Ratio()
    ratio.add(1, 10)
    ratio.add(2, 20)
    assert ratio.take() == (3, 30)
    assert ratio.take() == (0, 0)
