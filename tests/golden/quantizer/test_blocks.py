"""A decoder run block by block computes what the model computes, whatever the family."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikequant.golden.models.model import LanguageModel, decoder_blocks, decoder_linears, site_name
from spikequant.golden.quantizer.blocks import block_linears, enter, run_block, watch_block
from spikequant.golden.support.errors import InputError


@contextmanager
def hooked(module: nn.Module, hook: Callable[[nn.Module, Any, Any], Any]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def unchanged(model: nn.Module) -> bool:
    """Whether no module of the model has a hook or a ``forward`` of its own."""
    return not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in model.modules())


@torch.no_grad()
def test_the_blocks_make_the_models_own_logits(family_model: LanguageModel) -> None:
    model = family_model.model
    blocks = list(decoder_blocks(model).values())
    # longer and shorter than Mistral's sliding window
    for window in (torch.arange(1, 29), torch.arange(3, 12)):
        expected = model(window[None]).logits
        entered = enter(model, window)
        assert len(entered.calls) == len(blocks)
        hidden = entered.hidden
        for block, call in zip(blocks, entered.calls, strict=True):
            hidden = run_block(block, hidden, call)
        # the final norm and the head are the model's own; what its blocks give counts for nothing
        with hooked(blocks[-1], lambda _module, _inputs, _output, hidden=hidden: hidden):
            changed = window.flip(0)
            assert model(changed[None]).logits.equal(expected)
        assert not model(changed[None]).logits.equal(expected)
    assert unchanged(model)


@torch.no_grad()
def test_what_is_watched_is_what_layers_read_and_write(family_model: LanguageModel) -> None:
    model = family_model.model
    windows = [torch.arange(1, 20), torch.arange(5, 29)]
    seen: dict[str, list[Tensor]] = {}
    written: dict[str, list[Tensor]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen.setdefault(name, []).append(inputs[0].flatten(0, -2))
            written.setdefault(name, []).append(output.flatten(0, -2))

        return hook

    linears = decoder_linears(model)
    handles = [linear.register_forward_hook(note(name)) for name, linear in linears.items()]
    for window in windows:
        model(window[None])
    for handle in handles:
        handle.remove()
    entered = [enter(model, window) for window in windows]
    hidden = [window.hidden for window in entered]
    found: dict[str, Any] = {}
    for index, block in enumerate(decoder_blocks(model)):
        module = model.get_submodule(block)

        def run(module: nn.Module = module, index: int = index, hidden: list[Tensor] = hidden) -> list[Tensor]:
            return [run_block(module, h, window.calls[index]) for h, window in zip(hidden, entered, strict=True)]

        statistics, hidden = watch_block(model, block, run, windows=len(windows), second_moment=True)
        found |= statistics
    for name in linears:
        inputs = torch.cat(seen[name])
        site = found[site_name(name)]
        assert site.sample.equal(inputs)
        assert site.tokens == 43
        torch.testing.assert_close(site.second_moment, inputs.T @ inputs / 43, rtol=1e-4, atol=1e-5)
    assert unchanged(model)


def test_a_window_that_cannot_be_run_leaves_no_trace(float_model: LanguageModel) -> None:
    with pytest.raises(IndexError):
        enter(float_model.model, torch.tensor([1, 10_000]))
    assert unchanged(float_model.model)


def test_a_layer_that_does_not_run_is_named(float_model: LanguageModel) -> None:
    model = float_model.model
    model.model.layers[1].spare_proj = nn.Linear(32, 4)
    window = enter(model, torch.arange(1, 9))
    with pytest.raises(InputError, match=r"model\.layers\.1\.spare_proj saw no calibration text"):
        watch_block(
            model,
            "model.layers.1",
            lambda: [run_block(model.model.layers[1], window.hidden, window.calls[1])],
            windows=1,
        )
    assert unchanged(model)


def test_a_block_that_returns_no_tensor_is_refused(float_model: LanguageModel) -> None:
    window = enter(float_model.model, torch.arange(1, 9))

    class Pair(nn.Module):
        def forward(self, hidden: Tensor, **_named: Any) -> tuple[Tensor, None]:
            return hidden, None

    with pytest.raises(InputError, match="Pair returns tuple, expected hidden states"):
        run_block(Pair(), window.hidden, window.calls[0])


def test_block_ten_is_not_part_of_block_one(float_model: LanguageModel) -> None:
    model = float_model.model
    model.config.num_hidden_layers = 11
    model.model.layers.extend([model.model.layers[1] for _ in range(9)])
    assert all(name.startswith("model.layers.1.") for name in block_linears(model, "model.layers.1"))
    assert len(block_linears(model, "model.layers.1")) == 7
