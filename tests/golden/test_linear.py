import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.errors import InputError
from golden.integer import run_layer
from golden.linear import SpikeQuantLinear, Tally, output_steps
from golden.quantize import Site, quantize_weight
from golden.spec import PRESETS, Spec
from golden.vectors import check_vectors

SITE = Site(median=0.0, threshold=3.0, scale=0.4, zero=7)


def make_layer(
    *, seed: int = 0, wide_fraction: float = 0.0, bias: bool = True
) -> tuple[SpikeQuantLinear, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(12, 20, generator=generator)
    values = torch.randn(6, 20, generator=generator) ** 3
    offset = torch.randn(12, generator=generator) if bias else None
    peaks = (values @ weight.T).abs().amax(0)
    return SpikeQuantLinear(quantize_weight(weight, wide_fraction=wide_fraction), offset, SITE, peaks), values


@settings(deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.2]), st.booleans(), st.integers(2, 16), st.integers(0, 16))
def test_float_and_integers_agree(seed: int, wide_fraction: float, bias: bool, bits: int, fraction: int) -> None:
    layer, values = make_layer(seed=seed, wide_fraction=wide_fraction, bias=bias)
    spec = Spec(output_bits=bits, theta_fraction_bits=fraction)
    vectors = layer.vectors(values, spec)
    check_vectors(vars(vectors), spec, source="layer")
    integers = run_layer(vectors, spec)
    from_integers = torch.from_numpy(integers.membrane) * layer.unit_values
    assert torch.allclose(layer(values).double(), from_integers, rtol=1e-6, atol=0)
    layer.output_bits, layer.theta_fraction_bits = bits, fraction
    steps = output_steps(layer.output_peaks, bits)
    assert layer(values).equal((torch.from_numpy(integers.code) * steps).float())


def test_the_quantized_layer_is_near_the_float_one() -> None:
    generator = torch.Generator().manual_seed(6)
    linear = torch.nn.Linear(256, 64)
    values = torch.randn(32, 256, generator=generator).clamp(-2.8, 2.8)
    layer = SpikeQuantLinear(quantize_weight(linear.weight), linear.bias, SITE, torch.ones(64))
    expected = linear(values)
    assert (layer(values) - expected).norm() < 0.2 * expected.norm()


def test_theta_embeds_the_scales_and_rounds_half_up() -> None:
    layer, _ = make_layer()
    layer.output_peaks = torch.full((12,), 127.0)
    layer.scales = torch.full((12,), 0.5)
    layer.site = Site(0.0, 1.0, 0.25, 0)
    assert layer.thresholds(output_bits=8, theta_fraction_bits=0).tolist() == [8] * 12
    layer.output_peaks = torch.full((12,), 127.0 / 16)
    assert layer.thresholds(output_bits=8, theta_fraction_bits=0).tolist() == [1] * 12
    layer.output_peaks = torch.full((12,), 1e-12)
    assert layer.thresholds(output_bits=8, theta_fraction_bits=0).tolist() == [1] * 12
    layer.output_peaks = torch.full((12,), 1e12)
    assert layer.thresholds(output_bits=8, theta_fraction_bits=24).tolist() == [2**32 - 1] * 12


def test_wide_columns_count_in_sixteenths() -> None:
    narrow, _ = make_layer()
    wide, _ = make_layer(wide_fraction=0.2)
    assert torch.allclose(wide.unit_values * 16, narrow.unit_values)
    ratio = wide.thresholds(output_bits=8, theta_fraction_bits=12) / narrow.thresholds(
        output_bits=8, theta_fraction_bits=12
    )
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
