import time
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.baselines.hadamard import hadamard_factors, random_signs, rotate

# hidden and intermediate sizes, and inputs of output projections, of Llama, Mistral, Qwen, OPT, GPT-2, Phi and Gemma
WIDTHS = (
    *(576, 768, 896, 960, 1024, 1152, 1280, 1536, 1600, 2048, 2304, 2560, 3072, 3584, 3840, 4096, 4864, 5120, 5376),
    *(5632, 6144, 6400, 6656, 6912, 7168, 8192, 8960, 9216, 9728, 10240, 11008, 12288, 13824, 14336, 15360, 16384),
    *(17408, 17920, 18944, 20480, 21504, 22016, 24576, 25600, 27648, 28672, 29568, 36864),
)


@pytest.mark.parametrize("width", [1, 2, 4, 8, 12, 20, 28, 36, 48, 64, 76, 100, 148, 344, 576, 1536])
def test_a_matrix_is_orthonormal_and_all_its_values_are_of_one_size(width: int) -> None:
    matrix = rotate(torch.eye(width))
    assert torch.allclose(matrix @ matrix.T, torch.eye(width), atol=2e-6)
    assert torch.allclose(matrix.abs(), torch.tensor(width**-0.5), rtol=1e-5)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_widths_of_real_models_have_a_whole_transform_of_small_factors(width: int) -> None:
    orders = [factor.shape[0] for factor in hadamard_factors(width)]
    assert prod(orders) == width
    assert max(orders) < 1000
    for factor in hadamard_factors(width):
        assert torch.allclose(factor @ factor.T, torch.eye(factor.shape[0]), atol=5e-6)


@pytest.mark.parametrize(("width", "block"), [(9, 1), (34, 2), (92, 4), (1000, 1000), (23 * 64, 23 * 64), (17 * 3, 1)])
def test_a_width_without_construction_is_transformed_block_by_block(width: int, block: int) -> None:
    matrix = rotate(torch.eye(width))
    blocks = torch.block_diag(*[torch.ones(block, block)] * (width // block)).bool()
    assert matrix.ne(0).equal(blocks)
    assert torch.allclose(matrix @ matrix.T, torch.eye(width), atol=2e-6)


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_the_inverse_undoes_it_and_lengths_stay(width: int, seed: int) -> None:
    values = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(seed))
    rotated = rotate(values)
    assert torch.allclose(rotate(rotated, inverse=True), values, atol=1e-5)
    assert torch.allclose(rotated.norm(dim=-1), values.norm(dim=-1), rtol=1e-4)


def test_it_is_the_product_with_the_matrix() -> None:
    values = torch.randn(5, 48)
    assert torch.allclose(rotate(values), values @ rotate(torch.eye(48)), atol=1e-5)


def test_it_costs_less_than_a_dense_product() -> None:
    values, matrix = torch.randn(512, 1536), torch.randn(1536, 1536)
    seconds: dict[str, float] = {}
    for name, run in (("factors", lambda: rotate(values)), ("dense", lambda: values @ matrix)):
        run()
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        seconds[name] = min(times)
    assert seconds["factors"] < seconds["dense"]


def test_signs_are_those_of_the_seed() -> None:
    signs = random_signs(64, seed=3)
    assert signs.equal(random_signs(64, seed=3))
    assert not signs.equal(random_signs(64, seed=4))
    assert signs.abs().eq(1).all()
    assert 16 < signs.eq(1).sum() < 48


def test_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width: 0, expected 1 or more"):
        hadamard_factors(0)
