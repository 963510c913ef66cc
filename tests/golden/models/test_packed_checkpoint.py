"""Folders with packed weights, made by hand from a tiny model, as float models."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from spikequant.golden.models.model import LanguageModel, decoder_linears, linearize, load_model
from spikequant.golden.models.packed_checkpoint import find_packed, load_floats
from spikequant.golden.support.errors import InputError
from support.packing import compressed_layer, gptq_layer

GROUP = 16

COMPRESSED: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "quantization_status": "compressed",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": GROUP},
            "input_activations": None,
        }
    },
    "ignore": ["lm_head"],
}
GPTQ: dict[str, Any] = {
    "quant_method": "gptq",
    "bits": 4,
    "group_size": GROUP,
    "desc_act": False,
    "sym": False,
    "checkpoint_format": "gptq",
}

Pack = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]


def compressed(codes: Tensor, scales: Tensor, zeros: Tensor) -> dict[str, Tensor]:
    return compressed_layer(codes, scales, zeros=zeros, bits=4)


def gptq(codes: Tensor, scales: Tensor, zeros: Tensor) -> dict[str, Tensor]:
    groups = torch.arange(codes.shape[1], dtype=torch.int32) // GROUP
    return gptq_layer(codes, scales, zeros - 1, bits=4) | {"g_idx": groups}


def gptq_v2(codes: Tensor, scales: Tensor, zeros: Tensor) -> dict[str, Tensor]:
    return gptq_layer(codes, scales, zeros, bits=4)


def pack_model(float_model: LanguageModel, folder: Path, pack: Pack, quantization: dict[str, Any]) -> PreTrainedModel:
    """Write a model with the decoder's weights packed, rounded to 4 bits in groups; the model that it represents."""
    model = copy.deepcopy(float_model.model)
    model.save_pretrained(folder)
    float_model.tokenizer.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name, layer in decoder_linears(model).items():
        grouped = layer.weight.detach().unflatten(1, (-1, GROUP))
        low, high = grouped.amin(2).clamp(max=-1e-3), grouped.amax(2).clamp(min=1e-3)
        scales = ((high - low) / 15).half()
        zeros = (-low / scales).round().clamp(1, 15)
        codes = (grouped / scales[:, :, None] + zeros[:, :, None]).round().clamp(0, 15)
        del tensors[f"{name}.weight"]
        packed = pack(codes.flatten(1).long(), scales, zeros.long())
        tensors |= {f"{name}.{part}": tensor for part, tensor in packed.items()}
        with torch.no_grad():
            layer.weight.copy_((scales[:, :, None].float() * (codes - zeros[:, :, None])).flatten(1))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    change_config(folder, quantization)
    return model


def change_config(folder: Path, quantization: dict[str, Any] | None) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}), "utf-8")


def change_tensors(folder: Path, changes: dict[str, Tensor | None]) -> None:
    tensors = load_file(folder / "model.safetensors") | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "model.safetensors")


def load(folder: Path) -> PreTrainedModel:
    return load_floats(str(folder), dtype=torch.float32).eval()


@pytest.mark.parametrize(
    ("pack", "quantization"),
    [(compressed, COMPRESSED), (gptq, GPTQ), (gptq_v2, GPTQ | {"checkpoint_format": "gptq_v2"})],
    ids=["compressed-tensors", "gptq", "gptq_v2"],
)
def test_a_packed_folder_is_the_model_that_it_represents(
    float_model: LanguageModel, tmp_path: Path, pack: Pack, quantization: dict[str, Any]
) -> None:
    expected = pack_model(float_model, tmp_path, pack, quantization)
    loaded = load(tmp_path)
    assert all(tensor.equal(expected.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    window = torch.arange(1, 29)[None]
    assert torch.equal(loaded(window).logits, expected(window).logits)
    assert not hasattr(loaded.config, "quantization_config")


def test_what_is_missing_is_reported(float_model: LanguageModel, tmp_path: Path) -> None:
    pack_model(float_model, tmp_path, gptq, GPTQ)
    change_tensors(tmp_path, {"model.norm.weight": None, "model.extra.weight": torch.zeros(3)})
    _, report = load_floats(
        str(tmp_path), output_loading_info=True, ignore_mismatched_sizes=True, trust_remote_code=False
    )
    assert set(report["missing_keys"]) == {"model.norm.weight"}
    assert set(report["unexpected_keys"]) == {"model.extra.weight"}


def test_load_model_reads_packed_folders(float_model: LanguageModel, tmp_path: Path) -> None:
    expected = pack_model(float_model, tmp_path, gptq, GPTQ)
    loaded = load_model(str(tmp_path)).model
    assert all(tensor.equal(expected.state_dict()[name]) for name, tensor in loaded.state_dict().items())


def test_the_config_may_be_in_the_older_file(float_model: LanguageModel, tmp_path: Path) -> None:
    expected = pack_model(float_model, tmp_path, gptq, GPTQ)
    change_config(tmp_path, None)
    (tmp_path / "quantize_config.json").write_text('{"bits": 4, "group_size": 16, "desc_act": false}')
    (tmp_path / "model.safetensors").rename(tmp_path / "gptq_model-4bit-16g.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(load(tmp_path).state_dict()[name], expected.state_dict()[name])


def test_packed_weights_may_be_spread_over_files(float_model: LanguageModel, tmp_path: Path) -> None:
    expected = pack_model(float_model, tmp_path, gptq, GPTQ)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    shards = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({name: tensors[name] for name in tensors if shards[name] == shard}, tmp_path / shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    loaded = load(tmp_path).state_dict()
    assert all(tensor.equal(expected.state_dict()[name]) for name, tensor in loaded.items())
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-1\.safetensors: cannot read tensor"):
        load(tmp_path)


def test_layers_that_hold_the_transposed_matrix(tmp_path: Path) -> None:
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=1, n_head=4, n_positions=64, vocab_size=30)
    torch.manual_seed(2)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "transformer.h.0.mlp.c_fc"
    codes = torch.randint(0, 16, (128, 32))
    packed = gptq_v2(codes, torch.full((128, 2), 0.01).half(), torch.full((128, 2), 8))
    del tensors[f"{name}.weight"]
    save_file(tensors | {f"{name}.{part}": tensor for part, tensor in packed.items()}, tmp_path / "model.safetensors")
    change_config(tmp_path, GPTQ | {"checkpoint_format": "gptq_v2"})
    loaded = load(tmp_path)
    linearize(loaded)
    step = torch.tensor(0.01).half().float()
    assert torch.equal(loaded.get_submodule(name).weight, step * (codes - 8))


def test_a_folder_without_packed_weights_is_left_to_transformers(float_model: LanguageModel, tmp_path: Path) -> None:
    assert find_packed(tmp_path) is None
    float_model.model.save_pretrained(tmp_path)
    loaded = load(tmp_path).state_dict()
    assert all(tensor.equal(loaded[name]) for name, tensor in float_model.model.state_dict().items())
    change_config(tmp_path, {"quant_method": "bitsandbytes", "format": {"any": 1}})
    assert find_packed(tmp_path) is None
    change_config(tmp_path, None)
    assert find_packed(tmp_path) is None


@pytest.mark.parametrize(
    ("quantization", "problem"),
    [
        (COMPRESSED | {"format": "float-quantized"}, "weights of format float-quantized, expected pack-quantized"),
        (COMPRESSED | {"config_groups": {"a": {"format": "nvfp4-pack-quantized"}}}, "format nvfp4-pack-quantized"),
        (COMPRESSED | {"config_groups": {"a": {"weights": {"type": "float"}}}}, r"config_groups.a.weights.type"),
        (COMPRESSED | {"transform_config": {"config_groups": {"R1": {}}}}, "transform_config rotates activations"),
        (GPTQ | {"checkpoint_format": "marlin"}, "weights of format marlin, expected gptq or gptq_v2"),
        (GPTQ | {"is_marlin_format": True}, "weights of format marlin"),
        (GPTQ | {"group_size": "many"}, "group_size"),
        (COMPRESSED | {"quant_method": "gptq", "format": "gptq"}, "no packed weights"),
    ],
)
def test_other_variants_are_refused_in_one_line(
    float_model: LanguageModel, tmp_path: Path, quantization: dict[str, Any], problem: str
) -> None:
    pack_model(float_model, tmp_path, compressed, quantization)
    with pytest.raises(InputError, match=problem) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


LAYER = "model.layers.0.mlp.up_proj"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({f"{LAYER}.scales": None}, rf"{LAYER}: tensor scales is missing"),
        ({f"{LAYER}.qweight": torch.zeros(3, 5, dtype=torch.int32)}, rf"{LAYER}: qweight is"),
        (
            {
                f"{LAYER}.{part}": tensor
                for part, tensor in gptq(
                    torch.zeros(40, 32, dtype=torch.long), torch.ones(40, 2), torch.ones(40, 2, dtype=torch.long)
                ).items()
            },
            rf"{LAYER} is \[40, 32\], expected \[48, 32\] as in config.json",
        ),
    ],
)
def test_layers_that_do_not_fit_are_refused_in_one_line(
    float_model: LanguageModel, tmp_path: Path, changes: dict[str, Tensor | None], problem: str
) -> None:
    pack_model(float_model, tmp_path, gptq, GPTQ)
    change_tensors(tmp_path, changes)
    with pytest.raises(InputError, match=problem):
        load(tmp_path)


def test_files_that_are_not_tensors_are_refused_in_one_line(float_model: LanguageModel, tmp_path: Path) -> None:
    pack_model(float_model, tmp_path, gptq, GPTQ)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        load(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"0 files \*.safetensors, expected one"):
        load(tmp_path)
