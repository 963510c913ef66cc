"""Input factors of a site, folded into the preceding layers, so that they cost nothing at run time.

``W x = (W diag(f)) (x / f)``: the columns of the site's weights are multiplied by the factors, and the norm gain or
the rows of the projection that produce ``x`` by their inverse. The float model computes the same function.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from spikequant.golden.models.model import decoder_blocks, decoder_linears, site_name
from spikequant.golden.support.errors import InputError

_LLAMA = {
    "self_attn.qkv": "input_layernorm",
    "self_attn.o": "self_attn.v_proj",
    "mlp.gate_up": "post_attention_layernorm",
    "mlp.down": "mlp.up_proj",
}

_SOURCES: dict[str, dict[str, str]] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _LLAMA | {"mlp.gate_up": "pre_feedforward_layernorm"},
    "gemma3_text": _LLAMA | {"mlp.gate_up": "pre_feedforward_layernorm"},
    "phi3": _LLAMA | {"self_attn.o": "self_attn.qkv_proj", "mlp.down": "mlp.gate_up_proj"},
    # one norm feeds attention and MLP, which would have to agree on the factors
    "phi": {"self_attn.o": "self_attn.v_proj"},
    "opt": {
        "self_attn.qkv": "self_attn_layer_norm",
        "self_attn.o": "self_attn.v_proj",
        "gate_up": "final_layer_norm",
        "down": "fc1",
    },
    "gpt2": {"attn.qkv": "ln_1", "attn.o": "attn.c_attn", "mlp.gate_up": "ln_2"},
    "gpt_neox": {
        "attention.qkv": "input_layernorm",
        "attention.o": "attention.query_key_value",
        "mlp.gate_up": "post_attention_layernorm",
    },
}
"""For each model type: sites within a block, each with the module that feeds this site and nothing else.

Factors fold only in these model types, which are tested.
"""

_ONE_PLUS_WEIGHT = {"gemma", "gemma2", "gemma3_text"}
"""Model types whose norms store their gain minus 1."""


@dataclass(frozen=True)
class Source:
    """The module that produces a site's input.

    Attributes:
        module: a norm or an ``nn.Linear``; scaling an output channel of it scales the site's inputs that it feeds.
        channels: int64 [K], the output channel of the module that feeds each input. Query heads that share a value
            head share its channels, so that a channel may occur more than once.
        gain_offset: added to the stored weight to get the gain: 1 in Gemma's norms, otherwise 0.
    """

    module: nn.Module
    channels: Tensor
    gain_offset: float


def site_layers(model: PreTrainedModel, site: str) -> dict[str, nn.Linear]:
    """The float layers that read a site, by name.

    Raises:
        InputError: no layer reads it.
    """
    layers = {name: layer for name, layer in decoder_linears(model).items() if site_name(name) == site}
    if not layers:
        raise InputError(f"site {site!r}: no linear layer of the model reads it, expected one like {_any_site(model)}")
    return layers


def _any_site(model: PreTrainedModel) -> str:
    return site_name(next(iter(decoder_linears(model))))


def find_source(model: PreTrainedModel, site: str) -> Source | None:
    """The module that a factor on each input of a site folds into, or None if there is no such module.

    Raises:
        InputError: no layer of the model reads the site.
    """
    inputs = next(iter(site_layers(model, site).values())).in_features
    block_name = next(name for name in decoder_blocks(model) if site.startswith(f"{name}."))
    place = site.removeprefix(f"{block_name}.")
    path = _SOURCES.get(model.config.model_type, {}).get(place)
    if path is None:
        return None
    module = model.get_submodule(f"{block_name}.{path}")
    if isinstance(module, nn.Linear):
        if place.endswith("down") and not _passes_scale(model.config):
            return None
        channels = (
            _value_channels(model.config, module.out_features, inputs)
            if place.endswith(".o")
            else torch.arange(module.out_features - inputs, module.out_features)
        )
        return Source(module, channels, 0.0)
    if getattr(module, "weight", None) is None or not getattr(model.config, "do_layer_norm_before", True):
        return None
    return Source(module, torch.arange(inputs), float(model.config.model_type in _ONE_PLUS_WEIGHT))


def _passes_scale(config: PretrainedConfig) -> bool:
    """Whether a positive factor on a projection of the MLP scales its output: if another one gates it, or with ReLU."""
    return config.model_type != "opt" or config.activation_function == "relu"


def _value_channels(config: PretrainedConfig, outputs: int, inputs: int) -> Tensor:
    """The value channel of each input of the output projection; fused projections have the values last."""
    heads = config.num_attention_heads
    size = inputs // heads
    if config.model_type == "gpt_neox":
        # queries, keys and values of each head are adjacent
        return torch.arange(outputs).view(heads, 3, size)[:, 2].flatten()
    value_heads = getattr(config, "num_key_value_heads", None) or heads
    values = torch.arange(outputs - value_heads * size, outputs).view(value_heads, size)
    return values.repeat_interleave(heads // value_heads, dim=0).flatten()


def foldable(model: PreTrainedModel, site: str, factors: Tensor) -> Tensor:
    """The nearest factors that fold: the geometric mean over inputs that one channel feeds.

    Args:
        model: a float model.
        site: name of the site.
        factors: float [K], positive.

    Returns:
        float [K]; ones if the factors of this site cannot fold.

    Raises:
        InputError: no layer of the model reads the site.
        ValueError: factors that are not K positive finite numbers.
    """
    source = find_source(model, site)
    if source is None:
        return torch.ones_like(factors)
    _check(factors, source.channels)
    _, group, count = source.channels.unique(return_inverse=True, return_counts=True)
    total = torch.zeros(count.shape, dtype=torch.float64).index_add_(0, group, factors.double().log())
    return (total / count).exp()[group].to(factors.dtype)


@torch.no_grad()
def fold(model: PreTrainedModel, site: str, factors: Tensor) -> None:
    """Divide a site's input by factors and multiply its layers' columns by them, in place.

    Args:
        model: a float model.
        site: name of the site.
        factors: float [K], positive, as ``foldable`` gives them.

    Raises:
        InputError: no layer of the model reads the site.
        ValueError: factors that are not K positive finite numbers, that differ between inputs of one channel,
            or that are not all 1 if those of this site cannot fold.
    """
    source = find_source(model, site)
    if source is None:
        if not bool((factors == 1).all()):
            raise ValueError(f"site {site}: nothing to fold factors into, expected ones")
        return
    _check(factors, source.channels)
    weight, bias = source.module.weight, getattr(source.module, "bias", None)
    assert isinstance(weight, Tensor)
    gain = torch.ones(weight.shape[0], dtype=factors.dtype)
    gain[source.channels] = factors
    if not gain[source.channels].equal(factors):
        raise ValueError(f"site {site}: factors differ between inputs that one channel feeds, expected foldable ones")
    columns = gain.view(-1, *[1] * (weight.ndim - 1)).to(weight)
    weight.copy_((weight + source.gain_offset) / columns - source.gain_offset)
    if isinstance(bias, Tensor):
        bias.div_(gain.to(bias))
    for layer in site_layers(model, site).values():
        layer.weight.mul_(factors.to(layer.weight))


def _check(factors: Tensor, channels: Tensor) -> None:
    usable = factors.shape == channels.shape and bool((factors > 0).all()) and bool(factors.isfinite().all())
    if not usable:
        raise ValueError(f"factors: expected {channels.numel()} positive finite numbers, got {factors}")
