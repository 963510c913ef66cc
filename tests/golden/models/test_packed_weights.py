"""Unpacking of integer weights, against integers that the test packs word by word."""

import numpy as np
import pytest
import torch
from torch import Tensor

from spikequant.golden.models.packed_weights import LayerTensors, compressed_weight, gptq_weight, unpack
from spikequant.golden.support.errors import InputError
from support.packing import compressed_layer, gptq_layer, pack

N, K = 24, 64


def integers(bits: int, groups: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random codes [N, K], zero points and scales [N, groups]."""
    draw = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 2**bits, (N, K), generator=draw)
    zeros = torch.randint(1, 2**bits, (N, groups), generator=draw)
    return codes, zeros, torch.rand(N, groups, generator=draw).half() + 0.01


def defined(codes: Tensor, zeros: Tensor, scales: Tensor, groups: Tensor) -> Tensor:
    """Each weight by itself: its scale times the distance of its code from its zero point."""
    values = torch.empty(N, K)
    for n in range(N):
        for k in range(K):
            g = int(groups[k])
            values[n, k] = scales[n, g].float() * (int(codes[n, k]) - int(zeros[n, g]))
    return values


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("count", [1, 7, 32, 50])
def test_unpacking_is_the_inverse_of_packing(bits: int, count: int) -> None:
    values = np.random.default_rng(1).integers(0, 2**bits, (3, count))
    assert torch.equal(unpack(pack(torch.from_numpy(values), bits), bits, count), torch.from_numpy(values).byte())


def test_the_lowest_bits_come_first() -> None:
    word = torch.tensor([0x76543210, -0x01234568], dtype=torch.int32)
    assert unpack(word, 4, 16).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("symmetric", [True, False])
def test_compressed_weights(bits: int, groups: int, symmetric: bool) -> None:
    codes, zeros, scales = integers(bits, groups)
    zeros = torch.full_like(zeros, 2 ** (bits - 1)) if symmetric else zeros
    tensors = compressed_layer(codes, scales, zeros=None if symmetric else zeros, bits=bits)
    weight = compressed_weight(LayerTensors("here", tensors))
    order = torch.arange(K) // (K // groups)
    assert torch.equal(weight.values(), defined(codes, zeros, scales, order))


def test_compressed_weights_with_reordered_groups_and_unpacked_zero_points() -> None:
    codes, zeros, scales = integers(4, 4)
    order = torch.randperm(K, generator=torch.Generator().manual_seed(5)) // 16
    tensors = compressed_layer(codes, scales, zeros=zeros, bits=4)
    tensors |= {"weight_zero_point": (zeros - 8).to(torch.int8), "weight_g_idx": order.int()}
    weight = compressed_weight(LayerTensors("here", tensors))
    assert torch.equal(weight.values(), defined(codes, zeros, scales, order))


def test_compressed_weights_with_one_scale() -> None:
    codes, zeros, scales = integers(4, 1)
    tensors = compressed_layer(codes, scales, zeros=None, bits=4) | {"weight_scale": scales[0]}
    weight = compressed_weight(LayerTensors("here", tensors))
    expected = defined(codes, torch.full_like(zeros, 8), scales[:1].expand(N, 1), torch.zeros(K))
    assert torch.equal(weight.values(), expected)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("less_one", [True, False])
@pytest.mark.parametrize("stored_groups", [True, False])
def test_gptq_weights(bits: int, less_one: bool, stored_groups: bool) -> None:
    codes, zeros, scales = integers(bits, 4)
    order = torch.arange(K) // 16
    tensors = gptq_layer(codes, scales, zeros - int(less_one), bits=bits)
    if stored_groups:
        tensors["g_idx"] = order.int()
    layer = LayerTensors("here", tensors)
    weight = gptq_weight(layer, bits=bits, group_size=16, zeros_less_one=less_one)
    assert torch.equal(weight.values(), defined(codes, zeros, scales, order))
    assert torch.equal(weight.steps(), scales.float()[:, order])


def test_gptq_weights_in_the_order_of_activations() -> None:
    codes, zeros, scales = integers(4, 4)
    order = torch.randperm(K, generator=torch.Generator().manual_seed(3)) // 16
    tensors = gptq_layer(codes, scales, zeros - 1, bits=4) | {"g_idx": order.int()}
    weight = gptq_weight(LayerTensors("here", tensors), bits=4, group_size=16, zeros_less_one=True)
    assert torch.equal(weight.values(), defined(codes, zeros, scales, order))


def test_groups_of_zeros_are_not_in_use() -> None:
    codes, zeros, scales = integers(4, 4)
    tensors = gptq_layer(codes, scales, zeros - 1, bits=4) | {"g_idx": torch.zeros(K, dtype=torch.int32)}
    weight = gptq_weight(LayerTensors("here", tensors), bits=4, group_size=16, zeros_less_one=True)
    assert torch.equal(weight.groups, torch.arange(K) // 16)


def test_a_zero_point_of_0_borrows_from_the_next_when_stored_less_1() -> None:
    codes, zeros, scales = integers(4, 4)
    zeros[::3] = 0
    whole = pack(zeros.t(), 4) - 0x11111111
    tensors = gptq_layer(codes, scales, zeros, bits=4) | {"qzeros": whole}
    weight = gptq_weight(LayerTensors("here", tensors), bits=4, group_size=16, zeros_less_one=True)
    assert torch.equal(weight.zeros.long(), zeros)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weight_scale": None}, "here: tensor weight_scale is missing"),
        ({"weight_scale": torch.ones(N, 4, dtype=torch.int32)}, r"weight_scale is torch.int32 .* expected a floating"),
        ({"weight_scale": torch.full((N, 4), torch.nan)}, "weight_scale has infinite or undefined values"),
        (
            {"weight_scale": torch.ones(N, 5), "weight_zero_point": None},
            "5 groups for 64 inputs, expected 6 of 12 inputs",
        ),
        ({"weight_scale": torch.ones(N, 100), "weight_zero_point": None}, "100 groups for 64 inputs"),
        ({"weight_scale": torch.ones(N - 1, 4)}, r"weight_scale is torch.float32 \[23, 4\], expected .* \[24, \*\]"),
        ({"weight_packed": torch.zeros(N, 7, dtype=torch.int32)}, "7 words for 64 integers, expected integers of 2, 4"),
        ({"weight_packed": torch.zeros(N, 8)}, "weight_packed is torch.float32 .* expected torch.int32"),
        ({"weight_shape": torch.tensor([N, 0])}, "expected two positive numbers"),
        ({"weight_shape": torch.tensor([N])}, r"weight_shape is torch.int64 \[1\], expected .* \[2\]"),
        ({"weight_zero_point": torch.zeros(2, 4, dtype=torch.int32)}, r"expected torch.int32 \[3, 4\]"),
        ({"weight_g_idx": torch.arange(K).int()}, r"weight_g_idx is 0..63, expected 0..3"),
        ({"weight_g_idx": torch.arange(9).int()}, r"expected torch.int32 or torch.int64 \[64\]"),
    ],
)
def test_malformed_compressed_weights_are_one_line(changes: dict[str, Tensor | None], problem: str) -> None:
    codes, zeros, scales = integers(4, 4)
    tensors = compressed_layer(codes, scales, zeros=zeros, bits=4) | changes
    layer = LayerTensors("here", {name: tensor for name, tensor in tensors.items() if tensor is not None})
    with pytest.raises(InputError, match=problem) as caught:
        compressed_weight(layer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"qzeros": None}, "here: tensor qzeros is missing"),
        ({"qzeros": torch.zeros(4, 4, dtype=torch.int32)}, r"qzeros is .* expected torch.int32 \[4, 3\]"),
        ({"qweight": torch.zeros(8, N, dtype=torch.int64)}, "qweight is torch.int64 .* expected torch.int32"),
        ({"qweight": torch.zeros(8, N + 8, dtype=torch.int32)}, r"expected torch.int32 \[\*, 24\]"),
        ({"g_idx": torch.arange(40).int()}, "qweight has 8 words for 40 integers, expected integers of 2, 4 or 8 bits"),
        ({"g_idx": torch.arange(K).int() - 1}, r"g_idx is -1..62, expected 0..3"),
        ({"scales": torch.full((4, N), torch.inf)}, "scales has infinite or undefined values"),
        ({"scales": torch.ones(3, N), "qzeros": torch.zeros(3, 3, dtype=torch.int32)}, "3 groups for 64 inputs"),
    ],
)
def test_malformed_gptq_weights_are_one_line(changes: dict[str, Tensor | None], problem: str) -> None:
    codes, zeros, scales = integers(4, 4)
    tensors = gptq_layer(codes, scales, zeros - 1, bits=4) | changes
    layer = LayerTensors("here", {name: tensor for name, tensor in tensors.items() if tensor is not None})
    with pytest.raises(InputError, match=problem):
        gptq_weight(layer, bits=4, group_size=16, zeros_less_one=True)


@pytest.mark.parametrize("bits", [None, 3, 16])
def test_a_width_that_is_not_packed_whole_is_refused(bits: int | None) -> None:
    codes, zeros, scales = integers(4, 4)
    layer = LayerTensors("here", gptq_layer(codes, scales, zeros - 1, bits=4))
    with pytest.raises(InputError, match=f"integers of {bits} bits, expected 2, 4 or 8"):
        gptq_weight(layer, bits=bits, group_size=16, zeros_less_one=True)
