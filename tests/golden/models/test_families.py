"""Every family of models goes the whole way: sites, calibration, quantization, checkpoint."""

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from spikequant.golden.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from spikequant.golden.models.model import (
    LanguageModel,
    decoder_blocks,
    decoder_linears,
    linearize,
    site_group,
    site_name,
)
from spikequant.golden.models.windows import token_windows
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import Recipe, Weights
from spikequant.golden.quantizer.spikequant import spikequant


def inputs_seen(model: nn.Module, linears: dict[str, nn.Linear]) -> dict[str, Tensor]:
    """What each layer reads in one pass."""
    seen: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
        for name, layer in linears.items()
    ]
    with torch.no_grad():
        model(torch.arange(1, 9)[None])
    for handle in handles:
        handle.remove()
    return seen


def test_layers_share_a_site_when_they_read_the_same_tensor(family_model: LanguageModel) -> None:
    linears = decoder_linears(family_model.model)
    seen = inputs_seen(family_model.model, linears)
    assert list(seen) != []
    for first in linears:
        for second in linears:
            same = seen[first].shape == seen[second].shape and seen[first].equal(seen[second])
            # these blocks feed attention and MLP from one norm; k belongs to the group, so they stay two sites
            if family_model.name in {"phi", "gptj", "codegen"}:
                same = same and site_group(first) == site_group(second)
            assert (site_name(first) == site_name(second)) == same, (first, second)


def test_every_block_has_four_kinds_of_sites(family_model: LanguageModel) -> None:
    linears = decoder_linears(family_model.model)
    blocks = decoder_blocks(family_model.model)
    assert len(blocks) == 2
    for name in blocks:
        sites = {site_name(layer): site_group(layer) for layer in linears if layer.startswith(f"{name}.")}
        assert sorted(sites.values()) == ["down", "gate_up", "o", "qkv"]


def test_neither_the_head_nor_projections_of_embeddings_are_quantized(family_model: LanguageModel) -> None:
    assert not [name for name in decoder_linears(family_model.model) if not re.search(r"\.(layers|h)\.\d\.", name)]


def test_conv1d_becomes_linear_of_the_same_weights() -> None:
    torch.manual_seed(1)
    config = AutoConfig.for_model("gpt2", n_embd=96, n_layer=2, n_head=4, n_positions=64, vocab_size=50)
    model = AutoModelForCausalLM.from_config(config).eval()
    weights = {name: module.weight.t() for name, module in model.named_modules() if isinstance(module, Conv1D)}
    windows = [torch.arange(1, 1 + n)[None] for n in (1, 2, 7, 49)]
    with torch.no_grad():
        before = [model(window).logits for window in windows]
        linearize(model)
        after = [model(window).logits for window in windows]
    linears = decoder_linears(model)
    assert list(linears) == list(weights)
    assert all(linears[name].weight.equal(weight) for name, weight in weights.items())
    # a transposed matrix may be added up in another order
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


def test_a_family_is_quantized_saved_and_read_back_bit_for_bit(
    family_model: LanguageModel, prose: str, tmp_path: Path
) -> None:
    model = family_model.model
    windows = token_windows(family_model.tokenizer, [prose], tokens=200, context=64)
    linears = list(decoder_linears(model))
    recipe = Recipe(weights=Weights(wide_fraction=0.1))
    with torch.no_grad():
        before = model(windows[0][None]).logits
        quantize_model(model, windows, spikequant(recipe))
        after = model(windows[0][None]).logits
    assert list(quantized_layers(model)) == linears
    error = float((after - before).square().mean() / before.var())
    # random weights forgive little, but what is left must still be the model
    assert 0 < error < 0.5
    save_checkpoint(tmp_path, family_model, recipe, calibration="prose")
    loaded = load_checkpoint(tmp_path).language_model.model
    with torch.no_grad():
        assert loaded(windows[0][None]).logits.equal(after)
