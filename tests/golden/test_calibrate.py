import pytest
import torch

from golden.calibrate import Recipe, observe, quantize_model
from golden.errors import InputError
from golden.evaluate import quantized_layers
from golden.model import LanguageModel, decoder_linears


def test_statistics_are_those_of_the_layer_inputs(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    seen: list[torch.Tensor] = []
    outputs: list[torch.Tensor] = []
    layer = decoder_linears(float_model.model)["model.layers.1.mlp.down_proj"]

    def watch(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.append(inputs[0][0])
        outputs.append(output[0])

    handle = layer.register_forward_hook(watch)
    observations = observe(float_model.model, windows)
    handle.remove()
    values, expected = torch.cat(seen), torch.cat(outputs).abs().amax(0)
    statistics = observations.sites["model.layers.1.mlp.down"]
    assert statistics.median == float(values.median())
    assert statistics.deviation == float((values - values.median()).abs().median())
    assert (statistics.low, statistics.high) == (float(values.min()), float(values.max()))
    assert torch.allclose(statistics.power, values.double().square().mean(0))
    assert observations.output_peaks["model.layers.1.mlp.down_proj"].equal(expected)
    assert len(observations.sites) == 8


def test_watching_leaves_no_trace(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    observe(float_model.model, windows)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in float_model.model.modules())


def test_every_decoder_layer_is_replaced_and_the_model_stays_close(
    float_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    model = float_model.model
    before = model(windows[0][None]).logits
    layers = quantize_model(model, observe(model, windows), Recipe(wide_fraction=0.1))
    assert quantized_layers(model) == layers
    assert len(layers) == 14
    assert layers["model.layers.0.self_attn.q_proj"].site == layers["model.layers.0.self_attn.v_proj"].site
    assert layers["model.layers.0.mlp.up_proj"].wide.numel() == 3
    after = model(windows[0][None]).logits
    assert torch.nn.functional.cosine_similarity(before.flatten(), after.flatten(), dim=0) > 0.9


def test_a_smaller_factor_makes_more_values_salient(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    observations = observe(float_model.model, windows)
    sites = [
        next(iter(quantize_model(model, observations, Recipe(k={"qkv": k})).values())).site
        for k, model in ((2.0, float_model.model),)
    ]
    assert sites[0].threshold == pytest.approx(
        2.0 * 1.4826 * observations.sites["model.layers.0.self_attn.qkv"].deviation
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"wide_fraction": 1.5}, "wide_fraction: 1.5"),
        ({"k": {"o": 0.0}}, "k of o: 0.0"),
        ({"k_other": -1.0}, "k of other"),
    ],
)
def test_impossible_recipes_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe(**values)  # type: ignore[arg-type]
