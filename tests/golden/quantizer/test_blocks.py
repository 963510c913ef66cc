"""A decoder run block by block computes what the model computes, whatever the family."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikequant.golden.models.model import LanguageModel, decoder_blocks, decoder_linears, site_name
from spikequant.golden.quantizer.blocks import BlockCall, block_linears, check_blocks, enter, run_block, watch_block
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


class Returning(nn.Module):
    """Returns its hidden states in some form."""

    def __init__(self, form: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.form = form

    def forward(self, hidden_states: Tensor, **_named: Any) -> Any:
        return self.form(hidden_states)


def test_hidden_states_are_the_first_part_of_what_a_block_returns(float_model: LanguageModel) -> None:
    window = enter(float_model.model, torch.arange(1, 9))
    for form in (lambda hidden: hidden, lambda hidden: (hidden, None), lambda hidden: [hidden]):
        assert run_block(Returning(form), window.hidden, window.calls[0]) is window.hidden
    named = BlockCall((), {}, keyword="hidden_states")
    assert run_block(Returning(lambda hidden: hidden), window.hidden, named) is window.hidden


def test_a_block_that_returns_no_tensor_is_refused(float_model: LanguageModel) -> None:
    window = enter(float_model.model, torch.arange(1, 9))
    for form, name in (
        (lambda hidden: {"hidden": hidden}, "dict"),
        (lambda _: (None,), "tuple"),
        (lambda _: (), "tuple"),
    ):
        with pytest.raises(InputError, match=f"Returning returns {name}, expected hidden states"):
            run_block(Returning(form), window.hidden, window.calls[0])


def test_a_cache_stays_as_it_is(float_model: LanguageModel) -> None:
    model = float_model.model
    with torch.no_grad():
        cache = model.base_model(torch.arange(3)[None], use_cache=True).past_key_values
    keys = [layer.keys.clone() for layer in cache.layers]
    entered = enter(model, torch.arange(1, 9), cache)
    assert len(entered.calls) == 2
    assert all(layer.keys.equal(key) for layer, key in zip(cache.layers, keys, strict=True))


def test_every_family_passes_the_check(family_model: LanguageModel) -> None:
    check_blocks(family_model.model)
    assert unchanged(family_model.model)


class Decoder(nn.Module):
    """The decoder of a tiny Llama, whose blocks run in another way."""

    def __init__(self, decoder: Any, how: str) -> None:
        super().__init__()
        self.layers, self.decoder, self.how = decoder.layers, decoder, how
        self.embed_tokens = decoder.embed_tokens

    def forward(self, ids: Tensor, **_named: Any) -> Any:
        hidden = self.decoder.embed_tokens(ids)
        positions = self.decoder.rotary_emb(hidden, torch.arange(ids.shape[1])[None])
        first, second = self.layers
        order = {"reversed": (second, first), "twice": (first, second, second), "some": (first,)}
        for block in order.get(self.how, (first, second)):
            if self.how == "named":
                hidden = block(hidden_states=hidden, position_embeddings=positions)
            elif self.how == "nothing":
                hidden = block(ids, position_embeddings=positions)
            else:
                hidden = block(hidden, position_embeddings=positions)
            if self.how == "scaled":
                hidden = hidden / 2
        return hidden


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("reversed", r"it runs model\.layers\.1, expected model\.layers\.0: each block once, in order"),
        ("twice", r"it runs model\.layers\.1, expected no other block"),
        ("some", "it runs 1 of its 2 blocks"),
        ("scaled", r"it changes hidden states before model\.layers\.1"),
        ("nothing", "cannot run its blocks one by one"),
    ],
)
def test_a_decoder_that_runs_its_blocks_in_another_way_is_one_line(
    float_model: LanguageModel, how: str, line: str
) -> None:
    model = float_model.model
    model.model = Decoder(model.model, how)
    with pytest.raises(InputError, match=line) as caught:
        check_blocks(model)
    assert "\n" not in str(caught.value)
    assert unchanged(model)


def test_hidden_states_may_be_a_named_argument(float_model: LanguageModel) -> None:
    model = float_model.model
    model.model = Decoder(model.model, "named")
    check_blocks(model)
    entered = enter(model, torch.arange(1, 9))
    assert [call.keyword for call in entered.calls] == ["hidden_states"] * 2


def test_layers_of_one_site_that_read_different_tensors_are_refused(float_model: LanguageModel) -> None:
    model = float_model.model
    attention = model.model.layers[1].self_attn
    attention.q_proj.register_forward_pre_hook(lambda _module, inputs: (inputs[0] * 2,))
    with pytest.raises(InputError, match=r"layer model\.layers\.1\.self_attn\.k_proj reads another tensor"):
        check_blocks(model)


def test_a_block_that_differs_from_the_model_is_refused(float_model: LanguageModel) -> None:
    model = float_model.model
    calls: list[int] = []

    def drift(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        calls.append(1)
        return output * len(calls)

    model.model.layers[1].register_forward_hook(drift)
    with pytest.raises(InputError, match="its blocks, run one by one, differ from the model"):
        check_blocks(model)


def test_statistics_that_are_not_finite_are_one_line(float_model: LanguageModel) -> None:
    model = float_model.model
    window = enter(model, torch.arange(1, 9))
    # each value is finite, their products are not
    model.model.layers[0].mlp.up_proj.weight.data.fill_(3e38)
    with pytest.raises(InputError, match=r"model\.layers\.0\.mlp\..* is not finite on calibration text"):
        watch_block(
            model,
            "model.layers.0",
            lambda: [run_block(model.model.layers[0], window.hidden, window.calls[0])],
            windows=1,
        )


def test_a_model_without_attention_is_one_line(float_model: LanguageModel) -> None:
    float_model.model.config.num_attention_heads = 0
    with pytest.raises(InputError, match="no attention heads, expected a decoder with attention"):
        check_blocks(float_model.model)


def test_block_ten_is_not_part_of_block_one(float_model: LanguageModel) -> None:
    model = float_model.model
    model.config.num_hidden_layers = 11
    model.model.layers.extend([model.model.layers[1] for _ in range(9)])
    assert all(name.startswith("model.layers.1.") for name in block_linears(model, "model.layers.1"))
    assert len(block_linears(model, "model.layers.1")) == 7
