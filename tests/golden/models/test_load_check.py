"""What a library loads is checked: every tensor is there, of the right shape, and finite."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from spikequant.golden.models.model import load_model
from spikequant.golden.support.errors import InputError
from support.models import character_tokenizer, tiny_llama

DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    """A tiny model with an output head of its own."""
    tokenizer = character_tokenizer()
    model = tiny_llama(tokenizer)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def change_tensors(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_model_is_loaded_without_a_word(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # a table that older versions of the library wrote
    change_tensors(
        folder, lambda tensors: tensors.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    )
    load_model(str(folder))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [DOWN, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"])
def test_a_missing_tensor_is_named(folder: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    change_tensors(folder, lambda tensors: tensors.pop(name))
    assert f"tensor {name} is missing" in refused(folder)
    assert capfd.readouterr() == ("", "")


def test_names_with_a_prefix_are_missing_and_unknown(folder: Path) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[f"_orig_mod.{name}"] = tensors.pop(name)

    change_tensors(folder, rename)
    message = refused(folder)
    assert "other tensors are missing and _orig_mod.lm_head.weight and" in message
    assert "other tensors are unknown, expected the tensors of LlamaForCausalLM" in message


@pytest.mark.parametrize("name", ["model.layers.2.mlp.down_proj.weight", "model.layers.0.mlp.up_proj.scale"])
def test_a_tensor_that_the_model_does_not_have_is_named(folder: Path, name: str) -> None:
    change_tensors(folder, lambda tensors: tensors.update({name: torch.ones(4)}))
    assert f"tensor {name} is unknown" in refused(folder)


def test_a_tensor_of_another_shape_is_named(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({DOWN: torch.ones(32, 40)}))
    assert f"tensor {DOWN} is [32, 40], expected [32, 48] by its configuration" in refused(folder)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"num_hidden_layers": 3}, "missing"),
        ({"num_hidden_layers": 1}, "unknown"),
        ({"intermediate_size": 64}, "64] by its configuration"),
        ({"vocab_size": 40}, "expected [40, 32] by its configuration"),
        ({"attention_bias": False}, "unknown"),
        ({"tie_word_embeddings": True}, "embeddings and output head differ"),
        ({"num_attention_heads": 3}, "cannot load it"),
        ({"auto_map": {"AutoConfig": "x.X", "AutoModelForCausalLM": "x.Y"}, "model_type": "own"}, "cannot load it"),
    ],
)
def test_a_configuration_that_disagrees_with_the_tensors_is_one_line(
    folder: Path, values: dict[str, object], line: str
) -> None:
    change_tensors(folder, lambda tensors: tensors["lm_head.weight"].add_(1))
    change_config(folder, **values)
    assert line in refused(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [DOWN, "model.embed_tokens.weight", "model.norm.weight"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_value_that_is_not_finite_is_named(folder: Path, name: str, value: float, dtype: torch.dtype) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        for key, tensor in tensors.items():
            tensors[key] = tensor.to(dtype)
        tensors[name].view(-1)[5] = value

    change_tensors(folder, damage)
    assert f"tensor {name} is {value} at [" in refused(folder)


def test_a_shard_is_checked_too(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="10KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    load_model(str(folder))
    tensors = load_file(shards[1])
    name = next(iter(tensors))
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, shards[1], {"format": "pt"})
    assert f"tensor {name} is missing" in refused(folder)
    shards[1].unlink()
    assert "cannot load it as a causal language model" in refused(folder)


def test_a_vocabulary_fits_the_embeddings(folder: Path, tmp_path: Path) -> None:
    def embeddings(count: int) -> None:
        change_config(folder, vocab_size=count)
        shape = {"model.embed_tokens.weight": torch.ones(count, 32), "lm_head.weight": torch.ones(count, 32)}
        change_tensors(folder, lambda tensors: tensors.update(shape))

    embeddings(20)
    assert "token ',' of its tokenizer has id 29, expected ids below 20, the number of its embeddings" in refused(
        folder
    )
    embeddings(100)
    load_model(str(folder))
    # a special token that no plain text contains needs no embedding
    embeddings(30)
    tokenizer = character_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer.pad_token_id == 30
    load_model(str(folder))


def test_a_tied_head_may_be_absent(tmp_path: Path) -> None:
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=1, n_head=4, n_positions=64, vocab_size=30)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path)
    character_tokenizer().save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    load_model(str(tmp_path))
