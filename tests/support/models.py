"""Tiny random models with a character tokenizer: a Llama, float and quantized, and one float model of each family."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spikequant.golden.checkpoint.checkpoint import save_checkpoint
from spikequant.golden.models.model import LanguageModel, linearize
from spikequant.golden.models.windows import token_windows
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.recipe import Recipe, Weights
from spikequant.golden.quantizer.spikequant import spikequant

ALPHABET = "abcdefghijklmnopqrstuvwxyz .,"
PROSE = "the membrane adds the weights of the spikes that came, and the threshold reads it out. " * 12

GROUPED = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
UNGROUPED = {name: size for name, size in GROUPED.items() if name != "num_key_value_heads"}

FAMILIES = {
    "llama": GROUPED | {"attention_bias": True, "mlp_bias": True},
    "mistral": GROUPED | {"sliding_window": 16},
    "qwen2": GROUPED | {"tie_word_embeddings": True},
    "qwen3": GROUPED | {"head_dim": 16},
    "gemma": GROUPED | {"head_dim": 16, "tie_word_embeddings": True},
    "gemma2": GROUPED | {"head_dim": 16, "tie_word_embeddings": True},
    "gemma3_text": GROUPED | {"head_dim": 16, "tie_word_embeddings": True},
    "phi": GROUPED,
    "phi3": GROUPED,
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "word_embed_proj_dim": 16,
    },
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "gpt_neox": UNGROUPED,
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4},
    "gpt_neo": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "max_position_embeddings": 64,
        "window_size": 16,
    },
    "codegen": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4},
}
"""Model types, and a configuration of two small blocks of each."""


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def prose() -> str:
    return PROSE


def character_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, 0 for an unknown one."""
    vocabulary = {"?": 0} | {letter: i + 1 for i, letter in enumerate(ALPHABET)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return character_tokenizer()


def tiny_llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Two small blocks with random weights and biases, in evaluation mode."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
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
    return model


def save_tiny_llama(folder: Path) -> None:
    """Write ``tiny_llama`` and its tokenizer as a transformers model folder."""
    tokenizer = character_tokenizer()
    tiny_llama(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_smallest_llama(folder: Path, *, key_value_heads: int) -> None:
    """Write one block of 16 channels with random weights as a transformers model folder."""
    tokenizer = character_tokenizer()
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=key_value_heads,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def _float_model(tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    return LanguageModel(tiny_llama(tokenizer), tokenizer, "tiny")


@pytest.fixture
def float_model(_float_model: LanguageModel) -> LanguageModel:
    return copy.deepcopy(_float_model)


@pytest.fixture
def windows(float_model: LanguageModel, prose: str) -> list[torch.Tensor]:
    return token_windows(float_model.tokenizer, [prose], tokens=200, context=64)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """How ``quantized_model`` was made: the preset ``plain``, with some wide columns in matrices so small."""
    return Recipe(equalize=(), weights=Weights(wide_fraction=0.1))


@pytest.fixture
def quantized_model(_float_model: LanguageModel, windows: list[torch.Tensor], recipe: Recipe) -> LanguageModel:
    model = copy.deepcopy(_float_model)
    quantize_model(model.model, windows, spikequant(recipe))
    return model


@pytest.fixture(params=FAMILIES)
def family_model(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    """A float model of each family; no gain is 1, no bias 0, so that one left out shows."""
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0)
    config = AutoConfig.for_model(request.param, vocab_size=len(tokenizer), **special, **FAMILIES[request.param])
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
            else:
                parameter.normal_(std=0.15)
    linearize(model)
    return LanguageModel(model, tokenizer, request.param)


@pytest.fixture(scope="session")
def smallest_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One block of a Llama with random weights, and a token a character, as a transformers model folder."""
    folder = tmp_path_factory.mktemp("float")
    save_smallest_llama(folder, key_value_heads=1)
    return folder


@pytest.fixture(scope="session")
def smallest_checkpoint(smallest_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model quantized, as a checkpoint."""
    model = LlamaForCausalLM.from_pretrained(smallest_folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(smallest_folder)
    recipe = Recipe(equalize=(), weights=Weights(wide_fraction=0.1))
    quantize_model(model, token_windows(tokenizer, [PROSE], tokens=200, context=64), spikequant(recipe))
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, LanguageModel(model, tokenizer, str(smallest_folder)), recipe, calibration="prose")
    return folder
