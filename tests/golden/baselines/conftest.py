"""A layer and inputs with the troubles of real ones: correlated channels, and a few far larger than the rest."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from spikequant.golden.quantizer.method import FloatLayer, Method
from spikequant.golden.quantizer.statistics import SiteWatcher

INPUTS = 160
OUTPUTS = 64
OUTLIERS = (5, 60, 131)


@dataclass(frozen=True)
class Case:
    """A float layer and inputs [T, K] that its statistics are of."""

    layer: FloatLayer
    values: Tensor

    def error(self, method: Method) -> float:
        """Squared error of the quantized layer's outputs, as a share of the outputs' power."""
        expected = self.layer.linear(self.values).detach()
        return float((method.quantize(self.layer)(self.values) - expected).square().mean() / expected.square().mean())


@pytest.fixture
def make_case() -> Callable[..., Case]:
    def make(name: str = "model.layers.0.self_attn.q_proj", *, norm: bool = True, seed: int = 1) -> Case:
        generator = torch.Generator().manual_seed(seed)
        mixed = torch.randn(300, 24, generator=generator) @ torch.randn(24, INPUTS, generator=generator) / 5
        values = mixed + 0.5 * torch.randn(300, INPUTS, generator=generator)
        gain = 0.5 + torch.rand(INPUTS, generator=generator)
        gain[list(OUTLIERS)] *= 20
        values *= gain
        linear = nn.Linear(INPUTS, OUTPUTS)
        with torch.no_grad():
            linear.weight.normal_(generator=generator)
            linear.bias.normal_(generator=generator)
        watcher = SiteWatcher(windows=1, second_moment=True)
        watcher.add(values)
        return Case(FloatLayer(name, linear, watcher.statistics(), gain if norm else None, 16), values)

    return make


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case()
