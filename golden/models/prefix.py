"""Prefix: a few tokens before every text, whose keys and values are computed once in floats and stay in the cache.

The first tokens of a text are the sink of attention: heads attend to them when nothing else matters, and their hidden
states are far larger than all others (StreamingLLM, arXiv 2309.17453; PrefixQuant, arXiv 2410.05265). In the cache
they need no matrix product and no rounding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from spikequant.golden.models.load_check import vocabulary_size
from spikequant.golden.models.model import decoder_blocks, longest_window
from spikequant.golden.models.windows import start_tokens
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.progress import track

NAME = "prefix"
"""Name of the submodule in a model."""

WORTHWHILE = 0.002
"""A prefix must lower the loss by this much, in nats a token."""


class Prefix(nn.Module):
    """Prefix of a model: its tokens, and their keys and values in each block, as buffers.

    Args:
        config: the model's configuration.
        tokens: int64 [P], ids in order, at least one.
        keys: float32 [1, heads, P, head size] of each block.
        values: float32 [1, heads, P, head size] of each block.
    """

    tokens: Tensor

    def __init__(self, config: PreTrainedConfig, tokens: Tensor, keys: list[Tensor], values: list[Tensor]) -> None:
        super().__init__()
        self._config = config
        self.blocks = len(keys)
        self.register_buffer("tokens", tokens)
        for block, (key, value) in enumerate(zip(keys, values, strict=True)):
            self.register_buffer(f"key_{block:03}", key)
            self.register_buffer(f"value_{block:03}", value)

    def states(self, block: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a block, float32 [1, heads, P, head size] each."""
        return self.get_buffer(f"key_{block:03}"), self.get_buffer(f"value_{block:03}")

    def cache(self, batch: int = 1) -> DynamicCache:
        """A new cache that holds the prefix, for ``batch`` texts."""
        states = [
            tuple(state.expand(batch, -1, -1, -1) for state in self.states(block)) for block in range(self.blocks)
        ]
        return DynamicCache(states, config=self._config)

    def precede(
        self, _module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Hook that gives a decoder without a cache one that holds the prefix."""
        if named.get("past_key_values") is not None:
            return None
        inputs = args[0] if args else named.get("input_ids")
        batch = (named["inputs_embeds"] if inputs is None else inputs).shape[0]
        changed = {"past_key_values": self.cache(batch), "use_cache": True}
        mask = named.get("attention_mask")
        if mask is not None:
            changed["attention_mask"] = torch.cat([mask.new_ones(batch, self.tokens.numel()), mask], 1)
        return args, named | changed


def model_prefix(model: PreTrainedModel) -> Prefix | None:
    """The prefix of a model, or None."""
    prefix = getattr(model, NAME, None)
    return prefix if isinstance(prefix, Prefix) else None


def prefix_tokens(model: PreTrainedModel) -> tuple[int, ...]:
    """Ids of the tokens of a model's prefix; empty without one."""
    prefix = model_prefix(model)
    return tuple(prefix.tokens.tolist()) if prefix else ()


def longest_text(model: PreTrainedModel) -> int | None:
    """Largest number of tokens that a model takes at once after its prefix; None without a limit."""
    longest = longest_window(model)
    return None if longest is None else longest - len(prefix_tokens(model))


def fit_window(model: PreTrainedModel, tokens: int) -> int:
    """Tokens in a window: as many as are wanted, or fewer where a model takes no more after its prefix."""
    longest = longest_text(model)
    return tokens if longest is None else min(tokens, longest)


def attach_prefix(model: PreTrainedModel, prefix: Prefix) -> None:
    """Make a model read every text after a prefix: a run without a cache gets one that holds the prefix."""
    model.add_module(NAME, prefix)
    # OPT's head calls the decoder without its base model
    decoder = next(iter(decoder_blocks(model))).rsplit(".", 2)[0]
    # a bound method is copied with the model
    model.get_submodule(decoder).register_forward_pre_hook(prefix.precede, with_kwargs=True)


def add_prefix(model: PreTrainedModel, tokens: tuple[int, ...]) -> None:
    """Make a float model read every text after tokens, whose keys and values it computes; without any, do nothing.

    Raises:
        InputError: a block of the model caches no keys and values.
    """
    if tokens:
        attach_prefix(model, compute_prefix(model, tokens))


@torch.no_grad()
def compute_prefix(model: PreTrainedModel, tokens: tuple[int, ...]) -> Prefix:
    """The prefix of a float model from the ids of its tokens, at least one.

    Raises:
        InputError: a block of the model caches no keys and values.
    """
    cache = DynamicCache(config=model.config)
    ids = torch.tensor(tokens)
    model.base_model(ids[None], past_key_values=cache, use_cache=True)
    states = [cached_states(cache, block) for block in range(len(cache.layers))]
    return Prefix(model.config, ids, [keys for keys, _ in states], [values for _, values in states])


def cached_states(cache: DynamicCache, block: int) -> tuple[Tensor, Tensor]:
    """Keys and values of a block in a cache, float32 [1, heads, P, head size] each.

    Raises:
        InputError: the block keeps something else.
    """
    layer: Any = cache.layers[block]
    keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
    if keys is None or values is None:
        raise InputError(f"prefix: block {block} caches no keys and values, expected attention in every block")
    return keys, values


@torch.no_grad()
def choose_prefix(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, windows: list[Tensor]) -> tuple[int, ...]:
    """The tokens that a float model predicts text best after.

    They are the tokenizer's start tokens if it has some, else one special token, or none if no such token helps.

    Args:
        model: a float model without a prefix.
        tokenizer: its tokenizer.
        windows: int64 [n] token windows of calibration text, cut if a token before them would not fit.
    """
    starts = start_tokens(tokenizer)
    if starts:
        return tuple(starts)
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    size = vocabulary_size(model)
    candidates = [(token,) for token in dict.fromkeys(special) if token is not None and token < size]
    longest = longest_window(model)
    windows = [window[: longest - 1] for window in windows] if longest else windows
    best: tuple[int, ...] = ()
    least = _loss(model, windows, None) - WORTHWHILE
    for tokens in track(candidates, "choosing a prefix"):
        loss = _loss(model, windows, compute_prefix(model, tokens))
        if loss < least:
            best, least = tokens, loss
    return best


def _loss(model: PreTrainedModel, windows: list[Tensor], prefix: Prefix | None) -> float:
    """Mean loss of the windows' tokens, in nats."""
    total = 0.0
    for window in windows:
        named = {"past_key_values": prefix.cache()} if prefix else {"use_cache": False}
        logits = model(window[None], **named).logits[0, :-1].float()
        total += float(nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
    return total / sum(window.numel() - 1 for window in windows)
