"""Packed checkpoints, written from the descriptions of their formats: integers, lowest bits first, in 32-bit words."""

import numpy as np
import torch
from torch import Tensor


def pack(values: Tensor, bits: int) -> Tensor:
    """Pack integers along the last axis, the last word filled with zeros: int32 [..., ceil(count * bits / 32)]."""
    count = values.shape[-1]
    words = np.zeros((*values.shape[:-1], -(-count * bits // 32)), dtype=np.uint32)
    for place in range(count):
        words[..., place * bits // 32] |= values[..., place].numpy().astype(np.uint32) << (place * bits % 32)
    return torch.from_numpy(words.view(np.int32))


def compressed_layer(codes: Tensor, scales: Tensor, *, zeros: Tensor | None, bits: int) -> dict[str, Tensor]:
    """Tensors of a layer in the format pack-quantized, of codes [N, K], scales and zero points [N, G]."""
    tensors = {
        "weight_packed": pack(codes, bits),
        "weight_scale": scales,
        "weight_shape": torch.tensor(codes.shape),
    }
    if zeros is not None:
        tensors["weight_zero_point"] = pack(zeros.t(), bits).t().contiguous()
    return tensors


def gptq_layer(codes: Tensor, scales: Tensor, stored_zeros: Tensor, *, bits: int) -> dict[str, Tensor]:
    """Tensors of a layer in the formats of GPTQ, of codes [N, K], scales and stored zero points [N, G]."""
    return {
        "qweight": pack(codes, bits).t().contiguous(),
        "qzeros": pack(stored_zeros.t(), bits),
        "scales": scales.t().contiguous(),
    }
