from typing import Any

import pytest
import torch

from spikequant.golden.baselines.rtn import rtn
from spikequant.golden.baselines.spikellm import saliency, spikellm
from spikequant.golden.support.errors import InputError


def test_saliency_is_the_mean_over_tokens(case: Any) -> None:
    values, weight = case.values.double(), case.layer.linear.weight.detach().double()
    expected = (values * (values @ weight.T @ weight)).mean(0)
    moment = values.T @ values / values.shape[0]
    assert torch.allclose(saliency(weight, moment), expected)
    assert torch.allclose(expected.sum(), (values @ weight.T).square().sum(1).mean())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_tenth_of_the_channels_have_more_codes_and_a_range_of_their_own(case: Any, steps: int) -> None:
    layer = spikellm(steps=steps).quantize(case.layer)
    score = saliency(case.layer.linear.weight.detach(), case.layer.statistics.second_moment)
    salient = torch.zeros(160, dtype=torch.bool)
    salient[score.topk(16).indices] = True
    assert salient[[5, 60, 131]].all()
    rounded = layer.quantize_input(case.values)
    for channels, top in ((~salient, 15), (salient, 16 * steps - 1)):
        some, exact = rounded[:, channels], case.values[:, channels]
        span = exact.amax(1, keepdim=True).clamp(min=0) - exact.amin(1, keepdim=True).clamp(max=0)
        assert ((some - exact).abs() <= 1.001 * span / top).all()
        assert max(len(token.unique()) for token in some) <= top + 1


def test_outliers_cost_less(case: Any) -> None:
    plain = case.error(rtn())
    assert case.error(spikellm()) < 0.5 * plain
    assert case.error(spikellm(steps=8)) < case.error(spikellm(steps=1)) < plain


def test_inputs_are_left_as_they_are(case: Any) -> None:
    kept = case.values.clone()
    spikellm().quantize(case.layer)(case.values)
    assert case.values.equal(kept)


def test_no_steps_are_refused() -> None:
    with pytest.raises(InputError, match="steps: 0, expected 1 or more"):
        spikellm(steps=0)
