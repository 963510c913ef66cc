"""Text that grows in a cache, against transformers' own generation."""

from itertools import islice

import pytest
import torch

from spikequant.golden.models.growing_text import GrowingText
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import add_prefix


def ids(language_model: LanguageModel, text: str) -> list[int]:
    return list(language_model.tokenizer(text)["input_ids"])


def generated(language_model: LanguageModel, tokens: list[int], count: int) -> list[int]:
    """By the whole text anew for each token, without a cache."""
    found = list(tokens)
    for _ in range(count):
        with torch.no_grad():
            found.append(int(language_model.model(torch.tensor([found])).logits[0, -1].argmax()))
    return found[len(tokens) :]


@pytest.mark.parametrize("prefix", [(), (3, 5)])
def test_common_beginnings_are_read_once(float_model: LanguageModel, prefix: tuple[int, ...]) -> None:
    add_prefix(float_model.model, prefix)
    text = GrowingText(float_model)
    first = ids(float_model, "the spikes came")
    written = list(islice(text.write(first), 4))
    assert [token.read for token in written] == [15, 1, 1, 1]
    reply = [token.number for token in written]
    assert reply == generated(float_model, first, 4)

    # the last token of a reply was not read
    longer = [*first, *reply, *ids(float_model, ", then")]
    written = list(islice(text.write(longer), 3))
    assert [token.read for token in written] == [7, 1, 1]
    assert [token.number for token in written] == generated(float_model, longer, 3)

    other = ids(float_model, "the spine")
    written = list(islice(text.write(other), 3))
    assert written[0].read == 9 - 7
    assert [token.number for token in written] == generated(float_model, other, 3)
    assert next(text.write(other)).read == 1


def test_a_full_context_ends_the_text(float_model: LanguageModel) -> None:
    float_model.model.config.max_position_embeddings = 12
    written = list(GrowingText(float_model).write(ids(float_model, "a spike")))
    assert len(written) == 12 - 7
    assert not any(token.ends for token in written)


def test_every_family_reads_another_text(family_model: LanguageModel) -> None:
    text = GrowingText(family_model)
    first = ids(family_model, "the spikes came and went, one by one")
    assert len(list(islice(text.write(first), 2))) == 2
    # a sliding window is too short for the tokens that they have in common
    other = first[:-4]
    assert [token.number for token in islice(text.write(other), 3)] == generated(family_model, other, 3)
