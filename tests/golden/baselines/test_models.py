import copy
from collections.abc import Callable

import pytest
import torch

from spikequant.golden.baselines.atom import atom
from spikequant.golden.baselines.quarot import quarot
from spikequant.golden.baselines.rtn import rtn
from spikequant.golden.baselines.smoothquant import smoothquant
from spikequant.golden.baselines.spikellm import spikellm
from spikequant.golden.models.model import LanguageModel, decoder_linears
from spikequant.golden.models.windows import token_windows
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.method import Method

METHODS = (rtn, smoothquant, atom, spikellm, quarot)


@pytest.mark.parametrize("make", METHODS)
def test_a_model_of_any_family_hardly_changes_at_eight_bits(
    family_model: LanguageModel, prose: str, make: Callable[..., Method]
) -> None:
    windows = token_windows(family_model.tokenizer, [prose], tokens=100, context=48)
    with torch.no_grad():
        expected = family_model.model(windows[0][None]).logits
        layers = set(decoder_linears(family_model.model))
        quantize_model(family_model.model, windows, make(8, 8))
        logits = family_model.model(windows[0][None]).logits
    replaced = {name for name, module in family_model.model.named_modules() if isinstance(module, FakeQuantLinear)}
    assert replaced == layers
    # these clip at 0.9 of the range whatever the width
    most = 0.25 if make in {atom, quarot} else 0.05
    assert (logits - expected).norm() < most * (expected - expected.mean(-1, keepdim=True)).norm()


@pytest.mark.parametrize("make", METHODS)
def test_fewer_bits_change_more(
    float_model: LanguageModel, windows: list[torch.Tensor], make: Callable[..., Method]
) -> None:
    errors = []
    with torch.no_grad():
        expected = float_model.model(windows[0][None]).logits
        for bits in (2, 4, 8):
            model = copy.deepcopy(float_model.model)
            quantize_model(model, windows, make(bits, bits))
            errors.append(float((model(windows[0][None]).logits - expected).norm()))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("make", METHODS)
def test_a_method_says_where_it_is_from(make: Callable[..., Method]) -> None:
    method = make()
    assert method.name == make.__name__
    assert method.source
    assert "\n" not in method.differences
    assert method.calibrated or not method.second_moment
