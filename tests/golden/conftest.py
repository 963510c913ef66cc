"""A tiny random Llama with a character tokenizer, float and quantized."""

import copy
from collections.abc import Iterator

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from golden.calibrate import Recipe, observe, quantize_model
from golden.model import LanguageModel
from golden.text import token_windows

ALPHABET = "abcdefghijklmnopqrstuvwxyz .,"
PROSE = "the membrane adds the weights of the spikes that came, and the threshold reads it out. " * 12


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def prose() -> str:
    return PROSE


@pytest.fixture(scope="session")
def _float_model() -> LanguageModel:
    vocabulary = {"?": 0} | {letter: i + 1 for i, letter in enumerate(ALPHABET)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_bias=True,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("proj.bias"):
            torch.nn.init.normal_(parameter, std=0.2)
    return LanguageModel(model, PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?"), "tiny")


@pytest.fixture
def float_model(_float_model: LanguageModel) -> LanguageModel:
    return copy.deepcopy(_float_model)


@pytest.fixture
def windows(float_model: LanguageModel, prose: str) -> list[torch.Tensor]:
    return token_windows(float_model.tokenizer, [prose], tokens=200, context=64)


@pytest.fixture
def quantized_model(_float_model: LanguageModel, windows: list[torch.Tensor]) -> LanguageModel:
    model = copy.deepcopy(_float_model)
    quantize_model(model.model, observe(model.model, windows), Recipe(wide_fraction=0.1))
    return model
