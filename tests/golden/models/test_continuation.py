"""Greedy continuation of a prompt."""

from dataclasses import replace

import pytest
import torch

from spikequant.golden.models.continuation import continue_prompt
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.support.errors import InputError


def test_as_transformers_continues(float_model: LanguageModel) -> None:
    reported: list[int] = []
    found = continue_prompt(float_model, "the spikes", 12, progress=reported.append)
    ids = torch.tensor([float_model.tokenizer("the spikes")["input_ids"]])
    expected = float_model.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=0
    )
    assert found.tokens == expected[0, ids.shape[1] :].tolist()
    assert (found.prompt_tokens, len(found.seconds)) == (10, 12)
    assert found.logits.argmax(1).tolist() == found.tokens
    assert found.text == float_model.tokenizer.decode(found.tokens)
    assert reported == list(range(1, 13))
    assert found.seconds_per_token == pytest.approx(sum(found.seconds[1:]) / 11)


def test_it_ends_where_the_model_ends_its_text(float_model: LanguageModel) -> None:
    free = continue_prompt(float_model, "the spikes", 6)
    third = free.tokens[2]
    float_model.tokenizer.eos_token = float_model.tokenizer.convert_ids_to_tokens(third)
    try:
        ended = continue_prompt(float_model, "the spikes", 6)
    finally:
        float_model.tokenizer.eos_token = None
    assert ended.tokens == free.tokens[: free.tokens.index(third) + 1]


def test_equality_is_of_every_bit(float_model: LanguageModel) -> None:
    found = continue_prompt(float_model, "the spikes", 3)
    assert found.equals(continue_prompt(float_model, "the spikes", 3))
    logits = found.logits.clone()
    logits[2, 5] = torch.nextafter(logits[2, 5], torch.tensor(torch.inf))
    assert not found.equals(replace(found, logits=logits))
    assert not found.equals(replace(found, tokens=[*found.tokens[:2], found.tokens[2] ^ 1]))


def test_bad_prompts(float_model: LanguageModel) -> None:
    with pytest.raises(InputError, match="prompt '': no tokens"):
        continue_prompt(float_model, "", 3)
    context = float_model.model.config.max_position_embeddings
    with pytest.raises(InputError, match=f"expected at most {context} together"):
        continue_prompt(float_model, "abc", context - 2)
