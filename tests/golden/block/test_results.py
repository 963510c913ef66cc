import pytest
import torch

from spikequant.golden.block.results import Results, layer_results
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.linear import quantized_layers


@pytest.mark.parametrize("bits", [2, 8, 16])
@pytest.mark.parametrize("unit", [2.0**-9, 0.013139006681740284, 3e4])
def test_codes_are_found_again_in_rounded_floats(bits: int, unit: float) -> None:
    exponents = torch.arange(16)
    most = 2 ** (bits - 1) - 1
    codes = torch.arange(-most, most + 1)[:, None].expand(-1, 16)
    results = Results(bits, exponents, unit)
    values = codes.float() * (unit * 2.0**exponents).float()
    assert results.codes(values).equal(codes)
    assert results.integers(values).equal(codes << exponents)


@pytest.mark.parametrize("bits", [6, 8, 12])
def test_a_layers_outputs_are_its_results(quantized_model: LanguageModel, bits: int) -> None:
    layer = next(iter(quantized_layers(quantized_model.model).values()))
    layer.output_bits = bits
    results = layer_results(layer)
    assert results is not None
    values = layer(torch.randn(3, 32))
    assert (results.integers(values) * results.unit).float().allclose(values, rtol=1e-6)
    assert results.codes(values).abs().max() <= 2 ** (bits - 1) - 1
    layer.output_bits = None
    assert layer_results(layer) is None
