"""Moments of a site's input in the float and in the quantized model, and the weights that make good its errors."""

from dataclasses import dataclass

import torch
from torch import Tensor


class MomentWatcher:
    """Gathers moments window by window.

    Args:
        inputs: number of input channels, K.
        outputs: number of channels of the residual stream's gap, D; 0 for none.
    """

    def __init__(self, inputs: int, outputs: int = 0) -> None:
        self._moment = torch.zeros(inputs, inputs)
        self._cross = torch.zeros(inputs, inputs)
        self._gap = torch.zeros(outputs, inputs)
        self._mean = torch.zeros(inputs, dtype=torch.float64)
        self._expected = torch.zeros(inputs, dtype=torch.float64)
        self._mean_gap = torch.zeros(outputs, dtype=torch.float64)
        self._tokens = 0

    def add(self, found: Tensor, expected: Tensor, gap: Tensor | None = None) -> None:
        """Add a window.

        Args:
            found: float32 [n, K], the quantized input.
            expected: float32 [n, K], the input in the float model.
            gap: float32 [n, D], what the quantized residual stream lacks; None for nothing.
        """
        self._moment.addmm_(found.T, found)
        self._cross.addmm_(expected.T, found)
        self._mean += found.sum(0, dtype=torch.float64)
        self._expected += expected.sum(0, dtype=torch.float64)
        if gap is not None:
            self._gap.addmm_(gap.T, found)
            self._mean_gap += gap.sum(0, dtype=torch.float64)
        self._tokens += found.shape[0]

    def moments(self) -> "Moments":
        """The moments of all windows so far, at least one."""
        mean, expected, mean_gap = (
            (total / self._tokens).float() for total in (self._mean, self._expected, self._mean_gap)
        )
        return Moments(
            moment=self._moment / self._tokens - mean.outer(mean),
            cross=self._cross / self._tokens - expected.outer(mean),
            gap=self._gap / self._tokens - mean_gap.outer(mean),
            mean=mean,
            expected=expected,
            mean_gap=mean_gap,
        )


@dataclass(frozen=True)
class Moments:
    """Centred second moments and means, over tokens.

    Attributes:
        moment: float32 [K, K], of the quantized input.
        cross: float32 [K, K], of the float input with the quantized one.
        gap: float32 [D, K], of the residual stream's gap with the quantized input; D is 0 without a gap.
        mean: float32 [K], of the quantized input.
        expected: float32 [K], of the float input.
        mean_gap: float32 [D].
    """

    moment: Tensor
    cross: Tensor
    gap: Tensor
    mean: Tensor
    expected: Tensor
    mean_gap: Tensor

    def target(self, weight: Tensor, ridge: float) -> Tensor:
        """The weights that predict the float output, and what the residual stream lacks, from the quantized input.

        ``(W cross + gap + r W) (moment + r I)^-1``, least squares with a ridge towards W.

        Args:
            weight: float32 [N, K].
            ridge: r as a share of the moment's mean diagonal.
        """
        r = ridge * float(self.moment.diagonal().mean()) + torch.finfo(torch.float32).tiny
        wanted = weight @ self.cross + r * weight
        if self.gap.shape[0]:
            wanted += self.gap
        damped = self.moment.double()
        damped.diagonal().add_(r)
        return torch.cholesky_solve(wanted.T.double(), torch.linalg.cholesky(damped)).T.float()

    def bias(self, weight: Tensor, bias: Tensor | None, rounded: Tensor) -> Tensor:
        """The bias that gives rounded weights the mean output of the float layer, float32 [N]."""
        wanted = weight @ self.expected - rounded @ self.mean
        if self.mean_gap.numel():
            wanted += self.mean_gap
        return wanted if bias is None else wanted + bias
