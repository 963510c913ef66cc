from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spikequant.golden.quantizer.gptq import QuantizeColumn, gptq, gptq_blocks


def inputs_like(inputs: int, *, seed: int, rank: int = 8, tokens: int = 400) -> Tensor:
    """Inputs that a few directions explain almost wholly, as those of real layers."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(tokens, rank, generator=generator) @ torch.randn(rank, inputs, generator=generator)
    return mixed + 0.3 * torch.randn(tokens, inputs, generator=generator)


def weights_like(outputs: int, inputs: int, *, seed: int) -> Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(seed))


def moment_of(values: Tensor) -> Tensor:
    return values.T @ values / values.shape[0]


def output_error(values: Tensor, weight: Tensor, rounded: Tensor) -> float:
    return float(((weight - rounded) @ values.T).square().mean())


def row_grid(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """Sixteen codes with a zero point a row; rounds any columns [N, m] of the matrix."""
    low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    step = (high - low) / 15
    zero = (-low / step).round()
    return lambda columns: ((columns / step).round() + zero).clamp(0, 15).sub(zero) * step


def by_column(grid: Callable[[Tensor], Tensor]) -> QuantizeColumn:
    return lambda _k, column: grid(column[:, None])[:, 0]


def rounded_to_nearest(weight: Tensor, quantize_column: QuantizeColumn) -> Tensor:
    return torch.stack([quantize_column(k, column) for k, column in enumerate(weight.T)], 1)


def row_zero_point(weight: Tensor) -> QuantizeColumn:
    return by_column(row_grid(weight))


def fixed_groups(weight: Tensor) -> QuantizeColumn:
    steps = weight.unflatten(1, (-1, 16)).abs().amax(-1) / 7
    return lambda k, column: (column / steps[:, k // 16]).round().clamp(-8, 7) * steps[:, k // 16]


def wide_columns(weight: Tensor) -> QuantizeColumn:
    """As SpikeQuant has them: some columns with sixteen times as fine a step."""
    coarse, step = row_grid(weight), (weight.amax(1) - weight.amin(1)) / 15
    wide = {3, 17, 40}
    return lambda k, column: (column * 16 / step).round() * step / 16 if k in wide else coarse(column[:, None])[:, 0]


@pytest.mark.parametrize("grid", [row_zero_point, fixed_groups, wide_columns])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_outputs_are_nearer_than_with_rounding_to_nearest(grid: Callable[[Tensor], QuantizeColumn], seed: int) -> None:
    values, weight = inputs_like(64, seed=seed), weights_like(24, 64, seed=seed + 10)
    quantize_column = grid(weight)
    rounded = gptq(weight, moment_of(values), quantize_column, block=16)
    nearest = rounded_to_nearest(weight, quantize_column)
    assert output_error(values, weight, rounded) < 0.6 * output_error(values, weight, nearest)
    assert torch.allclose(rounded_to_nearest(rounded, quantize_column), rounded, atol=1e-5), "values on the grid"


def test_inputs_that_are_uncorrelated_are_rounded_to_nearest() -> None:
    weight = weights_like(8, 48, seed=1)
    moment = torch.diag(torch.rand(48, generator=torch.Generator().manual_seed(2)) + 0.1)
    rounded = gptq(weight, moment, row_zero_point(weight))
    assert torch.allclose(rounded, row_grid(weight)(weight))


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_the_size_of_a_block_changes_only_the_speed(block: int) -> None:
    values, weight = inputs_like(64, seed=5), weights_like(8, 64, seed=6)
    # steps so fine that an error in the last place cannot tip a value to another code
    whole = gptq(weight, moment_of(values), lambda _k, column: column.floor(), block=64)
    assert torch.allclose(gptq(weight, moment_of(values), lambda _k, column: column.floor(), block=block), whole)


def test_two_inputs_by_hand() -> None:
    # H = [[1, 1/2], [1/2, 1]] without damping: rounding w_0 = 0.4 to 0 adds 0.4 * H_01 / H_11 = 0.2 to w_1
    moment = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    seen: list[float] = []

    def quantize_column(_k: int, column: Tensor) -> Tensor:
        seen.append(float(column))
        return column.round()

    rounded = gptq(torch.tensor([[0.4, 0.4]]), moment, quantize_column, damping=0.0)
    assert seen == pytest.approx([0.4, 0.6])
    assert rounded.tolist() == [[0.0, 1.0]]


def test_blocks_set_the_order_of_the_inputs() -> None:
    moment, order = torch.diag(torch.tensor([1.0, 4.0, 2.0])), []

    def quantize_column(k: int, column: Tensor) -> Tensor:
        order.append(k)
        return column + k

    blocks = [torch.tensor([1, 2]), torch.tensor([0])]
    rounded = gptq_blocks(torch.zeros(2, 3), moment, blocks, lambda _block, _weight: quantize_column)
    assert order == [1, 2, 0]
    assert rounded.tolist() == [[0.0, 1.0, 2.0]] * 2


def test_inputs_that_never_fired_are_just_rounded() -> None:
    values, weight = inputs_like(32, seed=7), weights_like(8, 32, seed=8)
    values[:, [0, 9, 31]] = 0
    grid = row_grid(weight)
    rounded = gptq(weight, moment_of(values), by_column(grid))
    assert rounded.isfinite().all()
    assert torch.allclose(rounded[:, [0, 9, 31]], grid(weight)[:, [0, 9, 31]])
    assert output_error(values, weight, rounded) < output_error(values, weight, grid(weight))


def test_a_layer_that_never_saw_anything_is_just_rounded() -> None:
    weight = weights_like(4, 8, seed=9)
    assert gptq(weight, torch.zeros(8, 8), by_column(row_grid(weight))).equal(row_grid(weight)(weight))


def test_a_grid_can_follow_the_weights_of_its_block() -> None:
    values, weight = inputs_like(32, seed=3), weights_like(4, 32, seed=4)
    seen: dict[int, Tensor] = {}

    def fit_block(block: int, own: Tensor) -> QuantizeColumn:
        seen[block] = own.clone()
        return lambda _k, column: column.round()

    order = torch.arange(32).flip(0)
    gptq_blocks(weight, moment_of(values), list(order.split(16)), fit_block)
    assert seen[0].equal(weight[:, order[:16]]), "nothing to make up for yet"
    assert not torch.allclose(seen[1], weight[:, order[16:]])
