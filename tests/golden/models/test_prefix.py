"""A prefix is read before every text as if its tokens stood there, whoever runs the model."""

import copy

import torch

from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import attach_prefix, choose_prefix, compute_prefix, model_prefix, prefix_tokens
from spikequant.golden.quantizer.streams import BlockRuns


def with_prefix(model: LanguageModel, tokens: tuple[int, ...] = (3, 5)) -> LanguageModel:
    attach_prefix(model.model, compute_prefix(model.model, tokens))
    return model


@torch.no_grad()
def test_the_prefix_counts_as_its_tokens(family_model: LanguageModel) -> None:
    model, text = family_model.model, torch.arange(1, 13)[None]
    expected = model(torch.cat([torch.tensor([[3, 5]]), text], 1)).logits[:, 2:]
    with_prefix(family_model)
    assert prefix_tokens(model) == (3, 5)
    # twice, since a run must leave nothing in the prefix
    for _ in range(2):
        torch.testing.assert_close(model(text, use_cache=False).logits, expected, rtol=1e-4, atol=1e-4)
    batch = model(torch.cat([text, text])).logits
    torch.testing.assert_close(batch, expected.expand(2, -1, -1), rtol=1e-4, atol=1e-4)
    hidden = model.base_model(text).last_hidden_state
    masked = model.base_model(text, attention_mask=torch.ones_like(text)).last_hidden_state
    torch.testing.assert_close(masked, hidden, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_text_is_continued_after_the_prefix_token_by_token(float_model: LanguageModel) -> None:
    model = with_prefix(float_model).model
    text = torch.arange(1, 10)[None]
    whole = model(text).logits
    first = model(text[:, :4], use_cache=True)
    rest = model(text[:, 4:], past_key_values=first.past_key_values, use_cache=True)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_copy_has_a_prefix_of_its_own(float_model: LanguageModel) -> None:
    model = with_prefix(float_model).model
    text = torch.arange(1, 10)[None]
    before = model(text).logits
    other = copy.deepcopy(model)
    prefix = model_prefix(other)
    assert prefix
    for state in prefix.states(0):
        state.zero_()
    assert not other(text).logits.equal(before)
    assert model(text).logits.equal(before)


@torch.no_grad()
def test_blocks_run_one_by_one_after_the_prefix(float_model: LanguageModel) -> None:
    model = with_prefix(float_model).model
    windows = [torch.arange(1, 10), torch.arange(4, 20)]
    runs = BlockRuns(model, windows)
    streams = runs.streams(apart=True)
    for block in range(2):
        # a block may run several times, and the prefix is computed anew from the block's weights
        runs.advance_prefix(block, streams)
        for _ in range(2):
            after = [runs.run(block, window, hidden) for window, hidden in enumerate(streams.expected)]
        streams.expected = after
    for window, hidden in zip(windows, streams.expected, strict=True):
        expected = model.base_model(window[None]).last_hidden_state
        torch.testing.assert_close(model.model.norm(hidden), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_prefix_that_helps_most_is_chosen(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    model, tokenizer = float_model.model, copy.deepcopy(float_model.tokenizer)
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = "a", "b", "c"

    def loss(tokens: list[int]) -> float:
        total = 0.0
        for window in windows:
            ids = torch.cat([torch.tensor(tokens, dtype=torch.int64), window])
            logits = model(ids[None]).logits[0, len(tokens) : -1]
            total += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
        return total / sum(window.numel() - 1 for window in windows)

    losses = {(): loss([]) - 0.002} | {(token,): loss([token]) for token in (0, 1, 2, 3)}
    assert choose_prefix(model, tokenizer, windows) == min(losses, key=lambda tokens: losses[tokens])
