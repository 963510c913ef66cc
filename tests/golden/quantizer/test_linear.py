import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import check_vectors
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.site import AnySite, Site, TokenSite, ZeroPoint
from spikequant.golden.quantizer.tally import Tally
from spikequant.golden.quantizer.weights import quantize_weight
from spikequant.golden.support.errors import InputError

SITE = Site(median=0.0, threshold=3.0, scale=0.4, zero=7)


def make_layer(
    *, seed: int = 0, bits: int = 4, wide_fraction: float = 0.0, bias: bool = True, site: AnySite = SITE
) -> tuple[SpikeQuantLinear, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(12, 20, generator=generator)
    values = torch.randn(6, 20, generator=generator) ** 3
    offset = torch.randn(12, generator=generator) if bias else None
    quantized = quantize_weight(weight, bits=bits, wide_fraction=wide_fraction)
    layer = SpikeQuantLinear(quantized, offset, site)
    layer.fit_outputs([layer.exact(values)])
    layer.output_bits = None
    return layer, values


def check_agreement(layer: SpikeQuantLinear, values: torch.Tensor, spec: Spec, scale: float) -> None:
    """The float layer gives what its integers give: membranes within float rounding, and codes exactly."""
    vectors = layer.vectors(values, spec)
    check_vectors(vars(vectors), spec, source="layer")
    integers = run_layer(vectors, spec)
    assert not integers.saturated.any()
    from_integers = torch.from_numpy(integers.membrane) * layer.unit_values(scale)
    assert torch.allclose(layer(values).double(), from_integers, rtol=1e-6, atol=0)
    layer.output_bits, layer.theta_fraction_bits = spec.output_bits, spec.theta_fraction_bits
    steps = layer.output_steps(spec.output_bits)
    assert layer(values).equal((torch.from_numpy(integers.code) * steps).float())
    layer.output_bits = None


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.2]), st.booleans(), st.integers(2, 16), st.integers(0, 16))
def test_float_and_integers_agree(seed: int, wide_fraction: float, bias: bool, bits: int, fraction: int) -> None:
    layer, values = make_layer(seed=seed, wide_fraction=wide_fraction, bias=bias)
    check_agreement(layer, values, Spec(output_bits=bits, theta_fraction_bits=fraction), SITE.scale)


@given(st.integers(0, 2**31), st.sampled_from([2, 4, 8]), st.integers(2, 7), st.sampled_from([0, 7]), st.booleans())
def test_float_and_integers_agree_at_every_width_of_the_datapath(
    seed: int, weight_bits: int, activation_bits: int, salient_bits: int, token_scales: bool
) -> None:
    widths = {"bits": activation_bits, "salient_bits": salient_bits}
    spec = Spec(weight_bits=weight_bits, activation_bits=activation_bits, salient_bits=salient_bits)
    site = TokenSite(3.0, **widths) if token_scales else Site(0.1, 3.0, 0.4, 2**activation_bits // 3, **widths)
    layer, values = make_layer(seed=seed, bits=weight_bits, site=site)
    for tokens in values.split(1) if token_scales else [values]:
        check_agreement(layer, tokens, spec, float(site.grid(tokens).scale))


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.2]), st.sampled_from(["free", "symmetric"]))
def test_tokens_with_scales_of_their_own_do_not_see_each_other(seed: int, wide: float, zero_point: ZeroPoint) -> None:
    layer, values = make_layer(seed=seed, wide_fraction=wide, site=TokenSite(3.0, zero_point))
    values = values * torch.logspace(-2, 2, 6)[:, None]
    for output_bits in (None, 8):
        layer.output_bits = output_bits
        batch = layer(values.view(2, 3, 20)).view(6, 12)
        alone = torch.cat([layer(token) for token in values.split(1)])
        torch.testing.assert_close(batch, alone, rtol=1e-6, atol=1e-7)


def test_the_quantized_layer_is_near_the_float_one() -> None:
    generator = torch.Generator().manual_seed(6)
    linear = torch.nn.Linear(256, 64)
    values = torch.randn(32, 256, generator=generator).clamp(-2.8, 2.8)
    layer = SpikeQuantLinear(quantize_weight(linear.weight), linear.bias, SITE)
    expected = linear(values)
    assert (layer(values) - expected).norm() < 0.2 * expected.norm()


def test_theta_embeds_the_scales_and_rounds_half_up() -> None:
    layer, _ = make_layer()
    layer.scales = torch.full((12,), 0.5)
    layer.output_exponents.copy_(torch.arange(12) % 2)
    largest = 2**32 - 1
    for scale, fraction, expected in (
        (1.0, 0, [8, 16]),
        (1 / 16, 0, [1, 1]),
        (3 / 16, 0, [2, 3]),
        (1e-12, 0, [1, 1]),
        (1e12, 24, [largest, largest]),
    ):
        layer.output_scale = scale
        theta = layer.thresholds(0.25, output_bits=8, theta_fraction_bits=fraction)
        assert theta.tolist() == expected * 6


def test_a_code_shifted_by_its_exponent_is_the_output_in_units_of_the_layer() -> None:
    """Nothing multiplies after the threshold: the layer's result is an integer, and one scale turns it into floats."""
    layer, values = make_layer()
    layer.output_bits = 8
    spec = Spec(output_bits=8)
    codes = torch.from_numpy(run_layer(layer.vectors(values, spec), spec).code).long()
    assert int(layer.output_exponents.max()) > 0
    assert layer(values).equal(((codes << layer.output_exponents.long()).double() * layer.output_scale).float())


def test_codes_of_more_bits_span_the_same_range() -> None:
    layer, _ = make_layer()
    assert layer.output_steps(10).equal(layer.output_steps(8) / 4)
    assert layer.output_steps(2).equal(layer.output_steps(8) * 64)


def test_wide_columns_count_in_sixteenths() -> None:
    narrow, _ = make_layer()
    wide, _ = make_layer(wide_fraction=0.2)
    assert torch.allclose(wide.unit_values(0.4) * 16, narrow.unit_values(0.4))
    wide.output_exponents, wide.output_scale = narrow.output_exponents, narrow.output_scale
    thetas = [layer.thresholds(0.4, output_bits=8, theta_fraction_bits=12) for layer in (wide, narrow)]
    ratio = thetas[0] / thetas[1]
    assert torch.allclose(ratio, torch.tensor(16.0), rtol=1e-2)


def test_the_tally_counts_what_passes() -> None:
    layer, _ = make_layer()
    layer.tally = tally = Tally()
    layer(torch.tensor([[0.0] * 10 + [1.0] * 8 + [50.0] * 2]))
    assert (tally.values, tally.silent, tally.salient, tally.clipped_tokens) == (20, 10, 2, 0)
    layer.max_salient_shift = 1
    layer(torch.tensor([[50.0] * 20]))
    assert tally.clipped_tokens == 1


def test_a_spec_of_other_widths_is_refused() -> None:
    layer, values = make_layer()
    with pytest.raises(InputError, match=r"weight_bits is 8, expected 4"):
        layer.vectors(values, Spec(weight_bits=8))
    with pytest.raises(InputError, match=r"activation_bits is 3, expected 4"):
        layer.vectors(values, Spec(activation_bits=3))


def test_the_salient_shift_of_the_spec_holds() -> None:
    layer, values = make_layer()
    limited = Spec.model_validate(PRESETS["tiny"].model_dump() | {"max_salient_shift": 0})
    vectors = layer.vectors(values * 100, limited)
    check_vectors(vars(vectors), limited, source="layer")
    assert vectors.shift.max() == 0


def test_what_the_datapath_has_no_integers_for_is_refused() -> None:
    layer, values = make_layer(site=TokenSite(3.0))
    with pytest.raises(InputError, match="tokens: 6, expected 1"):
        layer.vectors(values, Spec())
    layer, values = make_layer(site=Site(0.0, 3.0, 0.4, 7, salient_format="float"))
    with pytest.raises(InputError, match="salient codes are of format float, expected window"):
        layer.vectors(values, Spec())
    # a wide column's low half is 4 bits, that of the datapath as wide as a weight
    for bits in (2, 8):
        layer, values = make_layer(bits=bits, wide_fraction=0.2)
        with pytest.raises(InputError, match=f"wide columns with weights of {bits} bits, expected 4"):
            layer.vectors(values, Spec(weight_bits=bits))


@given(st.integers(0, 2**31), st.sampled_from([2, 8, 12, 16]), st.integers(0, 16))
def test_codes_are_exact_where_one_ends_and_the_next_begins(seed: int, bits: int, fraction: int) -> None:
    layer, _ = make_layer(seed=seed, wide_fraction=0.2)
    layer.output_bits, layer.theta_fraction_bits = bits, fraction
    theta = layer.thresholds(SITE.scale, output_bits=bits, theta_fraction_bits=fraction)
    generator = torch.Generator().manual_seed(seed)
    code = torch.randint(0, 2 ** (bits - 1), (200, 12), generator=generator)
    edge = ((2 * code + 1) * theta) // 2 ** (fraction + 1) + torch.randint(-1, 2, code.shape, generator=generator)
    membrane = edge.clamp(0, 2**24 - 1)
    expected = ((membrane * 2**fraction + theta // 2) // theta).clamp(max=2 ** (bits - 1) - 1)
    for sign in (1, -1):
        found = layer.output_codes(sign * membrane / layer.units, SITE.scale)
        assert (sign * found.long()).equal(expected)
