"""Fake quantization: a linear layer in floats with values on quantization grids."""

from collections.abc import Callable

from torch import Tensor, nn


class FakeQuantLinear(nn.Module):
    """A linear layer with quantized weights, which quantizes its inputs at run time.

    Args:
        weight: float32 [N, K], values on their grid, in the order and basis of what ``quantize_input`` returns.
        bias: float32 [N], or None; added last.
        quantize_input: from float32 inputs [..., K] to rounded ones [..., K]; may scale, permute or rotate them first.
        transform_output: applied to the product [..., N] before the bias; None for no change.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        quantize_input: Callable[[Tensor], Tensor],
        transform_output: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach())
        self.quantize_input = quantize_input
        self.transform_output = transform_output

    def forward(self, values: Tensor) -> Tensor:
        """Float outputs [..., N] of float inputs [..., K]."""
        rounded = self.quantize_input(values)
        if self.transform_output is None:
            return nn.functional.linear(rounded, self.weight, self.bias)
        output = self.transform_output(nn.functional.linear(rounded, self.weight))
        return output if self.bias is None else output.add_(self.bias)
