import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikequant.golden.compensation.rounding import descend, fit_scales, round_weight
from spikequant.golden.quantizer.weights import find_grid


def make(seed: int = 0, rows: int = 10, columns: int = 24) -> tuple[Tensor, Tensor]:
    """A matrix, and the second moment of inputs that follow from few causes."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, 6, generator=generator) @ torch.randn(6, columns, generator=generator)
    inputs += 0.2 * torch.randn(200, columns, generator=generator)
    return torch.randn(rows, columns, generator=generator), inputs.T @ inputs / 200


def error(weight: Tensor, found: Tensor, moment: Tensor) -> Tensor:
    difference = found - weight
    return ((difference @ moment) * difference).sum(1)


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.2]), st.sampled_from([2, 4]))
def test_each_stage_lowers_the_error_of_every_row(seed: int, wide: float, bits: int) -> None:
    weight, moment = make(seed)
    grid = find_grid(weight, power=moment.diagonal(), bits=bits, wide_fraction=wide, clip_search=True)
    steps = grid.steps(weight / grid.scales[:, None])
    order = moment.diagonal().argsort(descending=True)
    least = error(weight, steps * grid.scales[:, None], moment)
    for _ in range(2):
        steps = descend(weight, steps, grid, moment, order)
        found = error(weight, steps * grid.scales[:, None], moment)
        assert (found <= least * (1 + 1e-4) + 1e-5).all()
        # the steps are on the grid
        assert grid.steps(steps).equal(steps)
        grid = fit_scales(weight, steps, grid, moment)
        least = error(weight, steps * grid.scales[:, None], moment)
        assert (least <= found * (1 + 1e-4) + 1e-5).all()


def test_descent_ends_where_no_single_code_helps() -> None:
    weight, moment = make(3)
    grid = find_grid(weight, power=moment.diagonal())
    order = moment.diagonal().argsort(descending=True)
    steps = grid.steps(weight / grid.scales[:, None])
    for _ in range(30):
        steps = descend(weight, steps, grid, moment, order)
    least = error(weight, steps * grid.scales[:, None], moment)
    for column in range(weight.shape[1]):
        for change in (-1, 1):
            moved = steps.clone()
            moved[:, column] += change
            allowed = grid.steps(moved)[:, column] == moved[:, column]
            found = error(weight, moved * grid.scales[:, None], moment)
            assert (found >= least * (1 - 1e-4))[allowed].all()


def test_blocks_of_columns_change_the_speed_only() -> None:
    weight, moment = make(4, columns=300)
    grid = find_grid(weight, power=moment.diagonal())
    steps = grid.steps(weight / grid.scales[:, None])
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    found = descend(weight, steps, grid, moment, order)
    # one column after the other, by the definition
    expected = steps.clone()
    for k in order.tolist():
        residual = (weight / grid.scales[:, None] - expected) @ moment[:, k]
        expected[:, k] = grid.steps(expected + (residual / moment[k, k])[:, None])[:, k]
    assert (found != expected).float().mean() < 0.01


def test_the_whole_is_better_than_rounding_to_the_nearest() -> None:
    weight, moment = make(5)
    options = {"bits": 4, "wide_fraction": 0.1, "clip_search": True}
    nearest = find_grid(weight, power=moment.diagonal(), **options).values(weight)
    found = [
        error(weight, round_weight(weight, moment, **options, sweeps=sweeps).values(), moment).sum()
        for sweeps in (0, 1, 3)
    ]
    assert found[0] < 0.5 * error(weight, nearest, moment).sum()
    assert found[2] <= found[1] < found[0]


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    weight, moment = make(6)
    moment[:, 3] = moment[3] = 0
    rounded = round_weight(weight, moment, bits=4, wide_fraction=0.0, clip_search=True, sweeps=1)
    assert rounded.values().isfinite().all()
    assert round_weight(weight, moment * 0, bits=4, wide_fraction=0.1, clip_search=True, sweeps=1).scales.gt(0).all()
