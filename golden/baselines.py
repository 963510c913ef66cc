"""Other ways to quantize a layer, to compare with."""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from golden.model import decoder_linears, replace_layer
from golden.progress import track
from golden.quantize import MAX_CODE, quantize_weight


class RoundToNearestLinear(nn.Module):
    """W4A4 by rounding alone.

    Weights: asymmetric per output channel between the row's minimum and maximum. Activations: asymmetric per
    token between the token's minimum and maximum, found at run time. Both ranges include zero, have 16 codes
    and an integer zero point.

    Args:
        linear: the float layer.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", quantize_weight(linear.weight).values())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K]."""
        return nn.functional.linear(round_per_token(values), self.weight, self.bias)


def round_per_token(values: Tensor) -> Tensor:
    """Values [..., K] on the token's 16 evenly spaced ones between its minimum and maximum, zero included."""
    low = values.amin(-1, keepdim=True).clamp(max=0)
    high = values.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low) / MAX_CODE
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = (-low / scale).round()
    return ((values / scale).round() + zero).clamp(0, MAX_CODE).sub(zero).mul(scale)


@torch.no_grad()
def round_to_nearest(model: PreTrainedModel) -> None:
    """Replace every decoder linear layer by its W4A4 round-to-nearest form, in place."""
    linears = decoder_linears(model)
    for name in track(list(linears), "quantizing"):
        replace_layer(model, name, RoundToNearestLinear(linears[name]))
