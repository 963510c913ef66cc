"""Folding leaves the float model's function as it was, whatever the family."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from spikequant.golden.models.folding import find_source, fold, foldable, site_layers
from spikequant.golden.models.model import LanguageModel, decoder_linears, site_group, site_name
from spikequant.golden.support.errors import InputError

NOWHERE = {
    "phi": {"qkv", "gate_up", "down"},
    "gpt2": {"down"},
    "gpt_neox": {"down"},
    "gptj": {"qkv", "o", "gate_up", "down"},
    "gpt_neo": {"qkv", "o", "gate_up", "down"},
    "codegen": {"qkv", "o", "gate_up", "down"},
}
"""Groups whose input no factor folds into: norms that feed other things too, activations of projections, and all of
those families whose norms and projections are not listed."""


def sites(model: LanguageModel) -> list[str]:
    return list(dict.fromkeys(site_name(layer) for layer in decoder_linears(model.model)))


def random_factors(model: LanguageModel, site: str) -> torch.Tensor:
    layer = next(iter(site_layers(model.model, site).values()))
    generator = torch.Generator().manual_seed(len(site))
    return torch.rand(layer.in_features, generator=generator) * 1.5 + 0.5


@torch.no_grad()
def test_logits_stay_and_inputs_are_divided(family_model: LanguageModel) -> None:
    model = family_model.model
    tokens = torch.arange(1, 25)[None]
    before = model(tokens).logits
    for site in sites(family_model):
        layer = next(iter(site_layers(model, site).values()))
        seen: list[torch.Tensor] = []
        handle = layer.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        model(tokens)
        factors = foldable(model, site, random_factors(family_model, site))
        weight = layer.weight.clone()
        fold(model, site, factors)
        after = model(tokens).logits
        handle.remove()
        nowhere = site.rpartition(".")[2] in NOWHERE.get(family_model.name, ())
        assert bool((factors == 1).all()) == nowhere
        torch.testing.assert_close(seen[1], seen[0] / factors, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.weight, weight * factors)
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)


def test_query_heads_of_one_value_head_share_factors(float_model: LanguageModel) -> None:
    site = "model.layers.0.self_attn.o"
    factors = random_factors(float_model, site)
    source = find_source(float_model.model, site)
    assert source is not None
    # 4 query heads of size 8 on 2 value heads
    assert source.channels.tolist() == [*range(8), *range(8), *range(8, 16), *range(8, 16)]
    heads = factors.view(2, 2, 8)
    means = (heads[:, 0] * heads[:, 1]).sqrt().repeat_interleave(2, 0).flatten()
    torch.testing.assert_close(foldable(float_model.model, site, factors), means)
    once = foldable(float_model.model, site, factors)
    torch.testing.assert_close(foldable(float_model.model, site, once), once)


def test_only_foldable_factors_fold(float_model: LanguageModel) -> None:
    model = float_model.model
    untouched = copy.deepcopy(model.state_dict())
    site = "model.layers.1.self_attn.o"
    with pytest.raises(ValueError, match="differ between inputs that one channel feeds"):
        fold(model, site, random_factors(float_model, site))
    for wrong in (torch.ones(31), torch.zeros(32), -torch.ones(32), torch.full((32,), torch.inf)):
        with pytest.raises(ValueError, match="expected 32 positive finite numbers"):
            fold(model, site, wrong)
        with pytest.raises(ValueError, match="expected 32 positive finite numbers"):
            foldable(model, site, wrong)
    with pytest.raises(InputError, match=r"expected one like model\.layers\.0\.self_attn\.qkv"):
        fold(model, "model.layers.7.self_attn.qkv", torch.ones(32))
    assert all(tensor.equal(untouched[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("setting", "value", "groups"),
    [
        # after a block's norm come both the next layer and the sum that passes it by
        ("do_layer_norm_before", False, {"o", "down"}),
        ("layer_norm_elementwise_affine", False, {"o", "down"}),
        ("activation_function", "gelu", {"qkv", "o", "gate_up"}),
    ],
)
def test_opt_folds_where_its_settings_allow(setting: str, value: object, groups: set[str]) -> None:
    sizes = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 30}
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("opt", word_embed_proj_dim=32, pad_token_id=0, **sizes, **{setting: value})
    )
    found = {site_group(layer) for layer in decoder_linears(model) if find_source(model, site_name(layer))}
    assert found == groups


def test_what_cannot_be_folded_is_refused(float_model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = float_model.model
    monkeypatch.setattr(model.config, "model_type", "unheard_of")
    site = "model.layers.0.mlp.down"
    assert find_source(model, site) is None
    assert foldable(model, site, torch.full((48,), 2.0)).equal(torch.ones(48))
    fold(model, site, torch.ones(48))
    with pytest.raises(ValueError, match="nothing to fold factors into"):
        fold(model, site, torch.full((48,), 2.0))
