from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from spikequant.golden.models.bundled import bundled_file
from spikequant.golden.models.model import (
    BUNDLED_PACKAGE,
    LanguageModel,
    decoder_blocks,
    decoder_linears,
    load_model,
    site_group,
    site_name,
)
from spikequant.golden.support.errors import InputError


def test_every_linear_layer_but_the_head_is_the_decoders(float_model: LanguageModel) -> None:
    names = list(decoder_linears(float_model.model))
    assert len(names) == 14
    assert names[0] == "model.layers.0.self_attn.q_proj"
    assert "lm_head" not in names


def test_layers_that_read_the_same_tensor_share_a_site() -> None:
    assert {site_name(f"layers.3.self_attn.{x}_proj") for x in "qkv"} == {"layers.3.self_attn.qkv"}
    assert site_name("layers.3.mlp.up_proj") == site_name("layers.3.mlp.gate_proj") == "layers.3.mlp.gate_up"
    assert site_group("layers.3.self_attn.o_proj") == "o"
    assert site_name("h.3.attn.c_proj") == "h.3.attn.o"
    assert site_name("h.3.mlp.c_proj") == "h.3.mlp.down"
    assert site_name("layers.3.self_attn.dense") == "layers.3.self_attn.o"
    assert site_name("layers.3.fc1") == "layers.3.gate_up"


def test_a_layer_of_no_known_kind_has_a_site_of_its_own() -> None:
    assert site_group("layers.3.mixer.in_proj") == "in_proj"
    assert site_name("layers.3.mixer.in_proj") == "layers.3.mixer.in_proj"
    assert site_name("c_proj") == "c_proj"


def test_matrices_that_are_no_linear_layers_are_refused(float_model: LanguageModel) -> None:
    block = float_model.model.model.layers[1]
    block.experts = torch.nn.ParameterList([torch.zeros(4, 8, 8)])
    with pytest.raises(InputError, match=r"layers\.1\.experts\.0 of shape \[4, 8, 8\] is in no nn\.Linear"):
        decoder_linears(float_model.model)


def test_a_model_without_blocks_or_layers_is_refused(float_model: LanguageModel) -> None:
    model = float_model.model
    model.config.num_hidden_layers = 3
    with pytest.raises(InputError, match="no list of blocks, expected 3 of them"):
        decoder_blocks(model)
    model.config.num_hidden_layers = 2
    model.model.layers = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    with pytest.raises(InputError, match="no linear layers to quantize"):
        decoder_linears(model)


def test_a_model_folder_loads_as_float32(float_model: LanguageModel, tmp_path: Path) -> None:
    float_model.model.to(torch.bfloat16).save_pretrained(tmp_path)
    float_model.tokenizer.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    expected = float_model.model.float().state_dict()
    assert all(tensor.equal(expected[name]) for name, tensor in loaded.model.state_dict().items())


def test_a_gpt2_folder_loads_with_linear_layers(float_model: LanguageModel, tmp_path: Path) -> None:
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=30)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(tmp_path)
    float_model.tokenizer.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path)).model
    assert len(decoder_linears(loaded)) == 8
    window = torch.arange(1, 30)[None]
    torch.testing.assert_close(loaded(window).logits, model(window).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["/no/such/folder", "none.gguf", "./none", "a/b/c"])
def test_a_path_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"expected smollm2, a \.gguf, a folder or a hub id"):
        load_model(name)


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="cannot load it as a causal language model") as caught:
        load_model(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_gguf_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(InputError, match="not a GGUF file"):
        load_model(str(path))


@pytest.mark.parametrize("size", [4, 100, 100_000])
def test_a_truncated_gguf_is_one_line(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.gguf"
    with bundled_file(BUNDLED_PACKAGE, "*.gguf").open("rb") as file:
        path.write_bytes(file.read(size))
    with pytest.raises(InputError, match="cannot load it as a causal language model") as caught:
        load_model(str(path))
    assert "\n" not in str(caught.value)


def test_a_package_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match=r"package no-such-package is not installed"):
        bundled_file("no-such-package", "*.gguf")
    with pytest.raises(InputError, match=r"package numpy holds no \*\.gguf"):
        bundled_file("numpy", "*.gguf")
