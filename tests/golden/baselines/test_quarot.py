from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from spikequant.golden.baselines.quarot import CLIP_GRID, quarot, searched_step
from spikequant.golden.baselines.rtn import rtn

NAMES = ("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj", "anything")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", [True, False])
def test_all_rotations_cancel(make_case: Callable, name: str, norm: bool) -> None:
    case = make_case(f"model.layers.0.{name}", norm=norm)
    assert case.error(quarot(8, 8)) < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_outliers_cost_little(make_case: Callable, name: str) -> None:
    case = make_case(f"model.layers.0.{name}")
    assert case.error(quarot()) < 0.3 * case.error(rtn())


def test_inputs_behind_a_norm_are_rotated_without_its_gain(case: Any) -> None:
    rounded = quarot().quantize(case.layer).quantize_input(case.values)
    assert max(len(token.unique()) for token in rounded) <= 16
    scaled = case.values / case.layer.norm_gain
    # clipping at 0.9 of the range takes a little of the length
    assert torch.allclose(rounded.norm(dim=1), scaled.norm(dim=1), rtol=0.05)


def test_channels_that_the_norm_silences_do_no_harm(make_case: Callable) -> None:
    case = make_case()
    gain = case.layer.norm_gain.clone()
    gain[7] = 0
    case.values[:, 7] = 0
    silenced = replace(case, layer=replace(case.layer, norm_gain=gain))
    assert silenced.error(quarot(8, 8)) < 1e-3


def test_rows_are_rotated_where_they_write_to_the_stream_and_within_heads(make_case: Callable) -> None:
    weights = {name: quarot(8, 8).quantize(make_case(name).layer).weight for name in ("q_proj", "v_proj", "o_proj")}
    lengths = {name: weight.norm() for name, weight in weights.items()}
    assert all(torch.allclose(length, lengths["q_proj"], rtol=0.01) for length in lengths.values())
    heads = [weights[name].unflatten(0, (-1, 16)).flatten(1).norm(dim=1) for name in ("q_proj", "v_proj")]
    assert torch.allclose(*heads, rtol=0.01)
    assert not torch.allclose(weights["q_proj"], weights["v_proj"], rtol=0.1)


def test_the_searched_range_is_the_best_of_the_grid() -> None:
    weight = torch.randn(20, 300, generator=torch.Generator().manual_seed(1)) ** 3
    step = searched_step(weight, 4)
    full = weight.abs().amax(1) / 7
    shares = step / full
    assert all(min(abs(share - c) for c in CLIP_GRID) < 1e-5 for share in shares.tolist())

    def error(step: torch.Tensor) -> torch.Tensor:
        rounded = (weight / step[:, None]).round().clamp(-8, 7) * step[:, None]
        return (rounded - weight).abs().pow(2.4).sum(1)

    assert all((error(step) <= error(full * share) * 1.0001).all() for share in CLIP_GRID)
    assert shares.min() < 1


def test_another_seed_is_another_rotation(case: Any) -> None:
    first, again, other = (quarot(seed=seed).quantize(case.layer).weight for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)
