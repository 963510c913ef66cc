"""Conversations with and without a chat template."""

from itertools import islice

import pytest
from tokenizers import decoders

from spikequant.golden.models.conversation import Conversation
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import add_prefix
from spikequant.golden.support.errors import InputError

TEMPLATE = (
    "{% for message in messages %}{{ message['role'][0] + ', ' + message['content'] + '.' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'a, ' }}{% endif %}"
)


@pytest.fixture
def chatty_model(float_model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> LanguageModel:
    monkeypatch.setattr(float_model.tokenizer, "chat_template", TEMPLATE)
    # a text without spaces between its characters gives the same tokens again
    float_model.tokenizer.backend_tokenizer.decoder = decoders.Fuse()
    return float_model


def test_turns_follow_the_template_and_stay_in_the_cache(chatty_model: LanguageModel) -> None:
    conversation = Conversation(chatty_model)
    assert conversation.has_template
    first = list(islice(conversation.ask("spikes"), 5))
    assert first[0].read == len("u, spikes.a, ")
    reply = chatty_model.tokenizer.decode([token.number for token in first])
    second = list(islice(conversation.ask("more"), 2))
    # the last token of the reply and the new turn
    assert second[0].read == 1 + len(".u, more.a, ")
    fresh = Conversation(chatty_model)
    chatty_model.tokenizer.chat_template = f"u, spikes.a, {reply}.u, more.a, "
    again = list(islice(fresh.ask("more"), 2))
    assert [token.number for token in again] == [token.number for token in second]
    conversation.clear()
    assert conversation._answer() == []


def test_the_prefix_replaces_start_tokens_of_the_template(
    chatty_model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("conversation", "reading"):
        monkeypatch.setattr(f"spikequant.golden.models.{module}.start_tokens", lambda _: [21, 28])
    assert chatty_model.tokenizer("u,")["input_ids"] == [21, 29]
    assert next(Conversation(chatty_model).ask("b")).read == len("u, b.a, ")
    for module in ("conversation", "reading"):
        monkeypatch.setattr(f"spikequant.golden.models.{module}.start_tokens", lambda _: [21, 29])
    add_prefix(chatty_model.model, (21, 29))
    assert next(Conversation(chatty_model).ask("b")).read == len(" b.a, ")


def test_without_a_template_each_prompt_is_alone(float_model: LanguageModel) -> None:
    conversation = Conversation(float_model)
    assert not conversation.has_template
    first = [token.number for token in islice(conversation.ask("the spikes"), 4)]
    list(islice(conversation.ask("a neuron"), 3))
    assert [token.number for token in islice(conversation.ask("the spikes"), 4)] == first


def test_bad_prompts(chatty_model: LanguageModel) -> None:
    conversation = Conversation(chatty_model)
    chatty_model.model.config.max_position_embeddings = 40
    assert len(list(conversation.ask("spikes"))) == 40 - len("u, spikes.a, ")
    with pytest.raises(InputError, match="with the conversation so far, expected fewer than 40"):
        conversation.ask("spikes")
    conversation.clear()
    assert next(conversation.ask("spikes")).read > 0
    chatty_model.tokenizer.chat_template = "{{ raise_exception('no users') }}"
    with pytest.raises(InputError, match="chat template: no users, expected one for user and assistant"):
        Conversation(chatty_model).ask("a")
    chatty_model.tokenizer.chat_template = None
    with pytest.raises(InputError, match="prompt '': no tokens"):
        Conversation(chatty_model).ask("")
