from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from spikequant.golden.checkpoint.export import export_floats
from spikequant.golden.models.model import LanguageModel, linearize, load_model
from spikequant.golden.models.prefix import add_prefix
from spikequant.golden.support.errors import InputError


def test_an_exported_model_loads_as_the_same(float_model: LanguageModel, tmp_path: Path) -> None:
    # as of a model from a GGUF file, for which save_pretrained fails
    float_model.model.hf_quantizer = object()
    export_floats(float_model, tmp_path / "model")
    loaded = load_model(str(tmp_path / "model"))
    expected = float_model.model.state_dict()
    assert set(loaded.model.state_dict()) == set(expected)
    assert all(tensor.equal(expected[name]) for name, tensor in loaded.model.state_dict().items())
    assert loaded.tokenizer("a spike").input_ids == float_model.tokenizer("a spike").input_ids


def test_a_prefix_stays_out(float_model: LanguageModel, tmp_path: Path) -> None:
    names = set(float_model.model.state_dict())
    add_prefix(float_model.model, (3, 5))
    export_floats(float_model, tmp_path / "model")
    assert set(load_model(str(tmp_path / "model")).model.state_dict()) == names


def test_quantized_models_are_refused(quantized_model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model tiny: quantized, expected a float model to export"):
        export_floats(quantized_model, tmp_path)


def test_models_with_transposed_matrices_are_refused(float_model: LanguageModel, tmp_path: Path) -> None:
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=1, n_head=4, n_positions=64, vocab_size=30)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    linearize(model)
    with pytest.raises(InputError, match=r"c_attn\.weight is kept as \[96, 32\].*Conv1D"):
        export_floats(LanguageModel(model, float_model.tokenizer, "gpt2"), tmp_path)
