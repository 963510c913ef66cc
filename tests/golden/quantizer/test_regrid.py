import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spikequant.golden.models.model import LanguageModel, decoder_linears
from spikequant.golden.models.packed_checkpoint import find_packed
from spikequant.golden.models.packed_weights import PackedWeight
from spikequant.golden.quantizer.recipe import Weights
from spikequant.golden.quantizer.regrid import RegridError, regrid_error, regrid_errors, regrid_summary
from support.packing import gptq_layer

PLAIN = Weights(wide_fraction=0.0, clip_search=False)


def packed(groups: int) -> PackedWeight:
    """Random weights whose groups each use all 16 codes."""
    draw = torch.Generator().manual_seed(4)
    codes = torch.randint(0, 16, (6, groups, 32), generator=draw)
    codes[:, :, 0], codes[:, :, 1] = 0, 15
    return PackedWeight(
        codes=codes.flatten(1).byte(),
        zeros=torch.randint(4, 12, (6, groups), generator=draw).to(torch.int16),
        scales=torch.rand(6, groups, generator=draw) + 0.1,
        groups=torch.arange(32 * groups) // 32,
    )


def test_weights_on_the_same_grid_stay() -> None:
    found = regrid_error("layer", packed(1), PLAIN)
    assert found.error < 1e-6
    assert found.changed == 0


def test_weights_in_groups_move_to_the_grid_of_their_row() -> None:
    weight = packed(3)
    found = regrid_error("layer", weight, PLAIN)
    values = weight.values().double()
    low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
    step = (high - low) / 15
    zero = (-low / step).round()
    moved = ((values / step).round() + zero).clamp(0, 15).sub(zero) * step - values
    assert found.error == pytest.approx(float(moved.norm() / values.norm()), rel=1e-5)
    assert found.changed == pytest.approx(float((moved.abs() > weight.steps() / 2).double().mean()), abs=1e-6)
    assert found.changed > 0.1


def test_wide_columns_make_the_error_smaller() -> None:
    wide = Weights(wide_fraction=0.25, clip_search=True)
    assert regrid_error("layer", packed(3), wide).error < regrid_error("layer", packed(3), PLAIN).error


def test_weights_that_are_all_0_have_no_error() -> None:
    weight = packed(1)
    zero = PackedWeight(
        torch.full_like(weight.codes, 8), torch.full_like(weight.zeros, 8), weight.scales, weight.groups
    )
    assert regrid_error("layer", zero, PLAIN) == RegridError("layer", 0.0, 0.0)


def test_all_packed_layers_of_the_decoder(float_model: LanguageModel, tmp_path: Path) -> None:
    float_model.model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    quantization = {"quant_method": "gptq", "bits": 4, "group_size": 16, "checkpoint_format": "gptq_v2"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}))
    tensors = load_file(tmp_path / "model.safetensors")
    names = list(decoder_linears(float_model.model))[:5]
    for name in [*names, "lm_head"]:
        rows, columns = float_model.model.get_submodule(name).weight.shape
        shape = (rows, columns // 16)
        layer = gptq_layer(torch.randint(0, 16, (rows, columns)), torch.ones(shape), torch.full(shape, 8), bits=4)
        tensors.pop(f"{name}.weight", None)
        tensors |= {f"{name}.{part}": tensor for part, tensor in layer.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    checkpoint = find_packed(tmp_path)
    assert checkpoint is not None
    found = list(regrid_errors(checkpoint, PLAIN))
    assert sorted(error.layer for error in found) == sorted(names)
    assert all(0 < error.error < 0.1 for error in found)


def test_the_summary_names_the_worst_layer() -> None:
    line = regrid_summary([RegridError("a", 0.01, 0.2), RegridError("b", 0.03, 0.4)])
    assert line == (
        "regrid of 2 layers: mean weight error 2.00%, largest 3.00% in b, "
        "30.00% of the weights nearer to another code of the checkpoint"
    )
