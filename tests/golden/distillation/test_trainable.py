"""Layers that learn: integers forward, straight-through gradients backward."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikequant.golden.distillation.trainable import TrainableLinear, TrainableSite
from spikequant.golden.quantizer.encode import encode
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.site import Site, salient_outside
from spikequant.golden.quantizer.weights import quantize_weight

SITE = Site(0.0, 3.0, 0.4, 7)


def make_layer(
    *, seed: int = 0, bits: int = 4, wide_fraction: float = 0.2, site: TrainableSite | None = None
) -> tuple[TrainableLinear, Tensor]:
    """A layer of 20 inputs and 12 outputs, and heavy-tailed inputs [2, 3, 20]."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(12, 20, generator=generator)
    values = torch.randn(2, 3, 20, generator=generator) ** 3
    rounded = quantize_weight(weight, bits=bits, wide_fraction=wide_fraction, clip_search=True)
    layer = SpikeQuantLinear(rounded, torch.randn(12, generator=generator), SITE)
    layer.keep_remainder(weight)
    return TrainableLinear(layer, TrainableSite(SITE) if site is None else site), values


def forget(layer: TrainableLinear) -> None:
    layer.site.forget()


def train(layer: TrainableLinear, values: Tensor, *, updates: int = 30) -> None:
    """Towards outputs that have nothing to do with what the layer computes, so that everything moves."""
    wanted = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(9)) * 5
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(updates):
        optimizer.zero_grad()
        (layer(values) - wanted).square().mean().backward()
        optimizer.step()
        layer.confine()
        forget(layer)


def check_frozen(layer: TrainableLinear, values: Tensor) -> SpikeQuantLinear:
    """The layer as it is now and its frozen form have the same integers, and the same outputs but for bfloat16."""
    forget(layer)
    frozen = layer.freeze()
    assert isinstance(frozen.site, Site)
    assert layer.site(values).float().equal(encode(values, frozen.site).level)
    assert frozen.steps.equal(layer.grid().steps(layer.latent.detach()))
    assert frozen.wide.tolist() == (layer.fine > 1).nonzero().flatten().tolist()
    assert frozen.bias is not None
    assert frozen.bias.equal(layer.bias)
    with torch.no_grad():
        found, rounded = layer(values), frozen(values)
        product = encode(values, frozen.site).level @ frozen.steps.T * (frozen.scales * frozen.site.scale)
        exact = product + layer.bias
    # the membrane in bfloat16; once frozen the bias in whole membrane units
    assert ((found - exact).abs() <= 2.0**-8 * product.abs() + 1e-5).all()
    assert ((rounded - exact).abs() <= 0.501 * frozen.unit_values(frozen.site.scale) + 1e-5).all()
    assert (found - exact).norm() < 1e-2 * exact.norm()
    return frozen


@pytest.mark.parametrize(
    ("bits", "wide_fraction", "site"),
    [
        (4, 0.2, SITE),
        (4, 0.0, SITE),
        (4, 1.0, Site(0.0, 0.0, 0.05, 15, bits=4, salient_bits=5)),
        (2, 0.3, Site(0.0, 0.0, 2.0, 0, bits=2, salient_bits=6)),
        (8, 0.0, Site(0.0, 0.0, 0.1, 128, bits=8, salient_bits=8)),
        (1, 0.0, Site(0.0, 0.0, 1.0, 1, bits=1, salient_bits=2)),
    ],
)
def test_the_layer_is_its_frozen_form_before_and_after_training(bits: int, wide_fraction: float, site: Site) -> None:
    layer, values = make_layer(bits=bits, wide_fraction=wide_fraction, site=TrainableSite(site))
    before = check_frozen(layer, values)
    assert before.site == salient_outside(site).__class__(**vars(before.site))
    train(layer, values)
    after = check_frozen(layer, values)
    # everything has learned, and zero points and wide columns have not
    assert not after.steps.equal(before.steps)
    assert not after.scales.equal(before.scales)
    assert after.site != before.site
    assert after.zeros.equal(before.zeros)
    assert after.wide.equal(before.wide)
    assert (after.weight_bits, after.site.bits, after.site.salient_bits) == (bits, site.bits, site.salient_bits)


def test_a_site_starts_where_calibration_left_it() -> None:
    for scale in (0.4, 1e-3, 77.0):
        frozen = TrainableSite(Site(1.0, 2.0, scale, 5)).freeze()
        assert frozen.scale == pytest.approx(scale, rel=1e-6)
        assert (frozen.zero, frozen.bits, frozen.salient_bits, frozen.salient_format) == (5, 4, 5, "window")
        assert frozen == salient_outside(frozen)


def test_a_layer_without_bias_starts_with_zeros() -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    layer = TrainableLinear(SpikeQuantLinear(quantize_weight(weight), None, SITE), TrainableSite(SITE))
    assert layer.bias.tolist() == [0, 0, 0]
    assert layer.bias.requires_grad


def straight_through(layer: TrainableLinear, values: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Gradients by hand in float64, with both roundings taken for the identity.

    ``y = (n W^T) s s_w + b`` with ``n = x / s`` and the latent weights W, each as if it had not been rounded where
    its own gradient is asked for.
    """
    frozen = layer.freeze()
    assert isinstance(frozen.site, Site)
    scale = frozen.site.scale
    rows, gradient = values.detach().flatten(0, 1), gradient.flatten(0, 1).double()
    level = encode(rows, frozen.site).level.double()
    steps = frozen.steps.double()
    ratio = rows.double() / scale
    size = frozen.scales.double() * scale
    of_membrane = gradient * size
    of_levels = of_membrane @ steps
    of_logs = of_membrane * (level @ steps.T)
    return {
        "values": (of_levels / scale).view(values.shape),
        "latent": of_membrane.T @ level,
        "log_scale": of_logs.sum(0),
        "bias": gradient.sum(0),
        "site.log_scale": of_logs.sum() - (of_levels * ratio).sum(),
    }


@pytest.mark.parametrize("wide_fraction", [0.0, 0.2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gradients_are_straight_through(wide_fraction: float, seed: int) -> None:
    layer, values = make_layer(seed=seed, wide_fraction=wide_fraction)
    values.requires_grad_(True)
    gradient = torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(seed + 50))
    layer(values).backward(gradient)
    expected = straight_through(layer, values, gradient)
    assert values.grad is not None
    found = {"values": values.grad} | {name: p.grad for name, p in layer.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name in ("values", "latent", "log_scale", "bias"):
        error = (found[name].double() - expected[name]).norm() / expected[name].norm()
        assert error < 1e-2, name
    # of the site's scale two large parts remain after a subtraction
    size = expected["log_scale"].abs().sum()
    assert abs(float(found["site.log_scale"]) - float(expected["site.log_scale"])) < 1e-2 * size


def test_the_gradient_of_a_layer_leads_downhill() -> None:
    """Small moves of scales and bias change the loss as the gradient says; these are not rounded."""
    layer, values = make_layer()
    wanted = torch.zeros(2, 3, 12)
    loss = (layer(values) - wanted).square().mean()
    loss.backward()
    for parameter in (layer.log_scale, layer.bias):
        assert parameter.grad is not None
        direction = parameter.grad / parameter.grad.norm()
        with torch.no_grad():
            parameter.sub_(1e-3 * direction)
            moved = (layer(values) - wanted).square().mean()
            parameter.add_(1e-3 * direction)
        assert float((loss - moved).detach()) == pytest.approx(1e-3 * float(parameter.grad.norm()), rel=0.05)


def test_layers_that_read_one_tensor_encode_it_once() -> None:
    site = TrainableSite(SITE)
    first, values = make_layer(seed=1, site=site)
    second, _ = make_layer(seed=2, site=site)
    first(values)
    second(values)
    salient, whole = site.salient.take()
    assert whole == values.numel()
    assert salient == int(encode(values, site.freeze()).salient.sum())
    assert salient > 0
    assert site(values) is site(values)
    # another tensor is encoded, be it equal or of the same shape
    site(values.clone())
    site(values.clone() + 1)
    assert site.salient.take()[1] == 2 * values.numel()


def test_gradients_of_layers_that_read_one_tensor_come_together() -> None:
    site = TrainableSite(SITE)
    first, values = make_layer(seed=1, site=site)
    second, _ = make_layer(seed=2, site=site)

    def gradient(*layers: TrainableLinear) -> Tensor:
        site.forget()
        inputs = values.clone().requires_grad_(True)
        torch.stack([layer(inputs) for layer in layers]).sum().backward()
        assert inputs.grad is not None
        return inputs.grad

    together, alone = gradient(first, second), gradient(first) + gradient(second)
    assert (together - alone).norm() < 1e-2 * alone.norm()


def test_a_forgotten_tensor_is_encoded_again_with_the_scale_of_now() -> None:
    site = TrainableSite(SITE)
    _, values = make_layer()
    before = site(values)
    with torch.no_grad():
        site.log_scale += 0.5
    assert site(values) is before
    site.forget()
    assert not site(values).equal(before)
    assert site(values).float().equal(encode(values, site.freeze()).level)


@pytest.mark.parametrize("wide_fraction", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("bits", [1, 2, 4])
@torch.no_grad()
def test_confining_changes_no_code_and_lets_each_come_back(bits: int, wide_fraction: float) -> None:
    layer, _ = make_layer(bits=bits, wide_fraction=wide_fraction)
    generator = torch.Generator().manual_seed(4)
    layer.latent.add_(torch.randn(12, 20, generator=generator) * 2**bits)
    before, steps = layer.latent.clone(), layer.grid().steps(layer.latent)
    layer.confine()
    assert layer.grid().steps(layer.latent).equal(steps)
    # what lay between the outermost codes has not moved
    inside = (before - steps).abs() < 0.49 / layer.fine
    assert layer.latent[inside].equal(before[inside])
    assert bool(inside.any())
    assert bool((layer.latent != before).any())
    # and what lay outside is next to where it rounds otherwise
    grid = layer.grid()
    for sign in (1, -1):
        layer.latent.copy_(before + sign * 100)
        layer.confine()
        outermost = grid.steps(layer.latent)
        assert ((layer.latent - outermost) * sign * layer.fine < 0.5).all()
        assert not (grid.steps(layer.latent - sign * 1.01 / layer.fine) == outermost).any()


def test_a_layer_is_saved_with_all_that_freezing_needs() -> None:
    layer, values = make_layer()
    train(layer, values, updates=3)
    other, _ = make_layer(seed=5)
    state: dict[str, Any] = layer.state_dict()
    other.load_state_dict(state)
    expected, found = check_frozen(layer, values), check_frozen(other, values)
    assert found.steps.equal(expected.steps)
    assert found.scales.equal(expected.scales)
    assert isinstance(layer.site, nn.Module)
    assert found.site == expected.site
