import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from spikequant.golden.checkpoint.checkpoint import is_checkpoint, load_checkpoint, save_checkpoint
from spikequant.golden.checkpoint.description import DESCRIPTION, FORMAT_VERSION, TENSORS, sha256
from spikequant.golden.checkpoint.layers import pack_nibbles, unpack_nibbles
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import Site, TokenSite
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError


@pytest.fixture
def folder(quantized_model: LanguageModel, recipe: Recipe, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", quantized_model, recipe, calibration="some text", training="a little")
    return tmp_path / "saved"


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**31))
def test_nibbles_survive_packing(rows: int, columns: int, seed: int) -> None:
    codes = torch.randint(0, 16, (rows, columns), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    packed = pack_nibbles(codes)
    assert packed.shape == (rows, -(-columns // 2))
    assert unpack_nibbles(packed, columns).equal(codes)


@torch.no_grad()
def check_same(loaded: PreTrainedModel, saved: PreTrainedModel, window: torch.Tensor) -> None:
    """Two quantized models are bit for bit the same, and predict the same."""
    tensors, expected = loaded.state_dict(), saved.state_dict()
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert tensor.equal(expected[name]), name
        assert tensor.dtype == expected[name].dtype, name
    layers = quantized_layers(loaded)
    for name, layer in quantized_layers(saved).items():
        assert (layers[name].site, layers[name].weight_bits) == (layer.site, layer.weight_bits)
    assert loaded(window[None]).logits.equal(saved(window[None]).logits)


def test_a_checkpoint_loads_bit_for_bit(
    quantized_model: LanguageModel, recipe: Recipe, folder: Path, windows: list[torch.Tensor]
) -> None:
    assert is_checkpoint(folder)
    checkpoint = load_checkpoint(folder)
    check_same(checkpoint.language_model.model, quantized_model.model, windows[0])
    assert (
        checkpoint.language_model.tokenizer("the lane")["input_ids"]
        == quantized_model.tokenizer("the lane")["input_ids"]
    )
    assert checkpoint.description.recipe == recipe
    assert (checkpoint.description.calibration, checkpoint.description.training) == ("some text", "a little")


def test_an_untied_output_head_is_kept(quantized_model: LanguageModel, tmp_path: Path) -> None:
    head = torch.nn.Linear(32, quantized_model.model.config.vocab_size, bias=False)
    quantized_model.model.config.tie_word_embeddings = False
    quantized_model.model.set_output_embeddings(head)
    save_checkpoint(tmp_path, quantized_model, Recipe(), calibration="some text")
    assert load_checkpoint(tmp_path).language_model.model.get_output_embeddings().weight.equal(head.weight)


@pytest.mark.parametrize(
    "values",
    [
        {"weights": {"bits": 8, "wide_fraction": 0.1}},
        {"weights": {"bits": 8, "wide_fraction": 0.0}},
        {"weights": {"bits": 5}},
        {"weights": {"bits": 2, "wide_fraction": 1.0}},
        {"weights": {"bits": 1, "wide_fraction": 0.0}},
        {"activations": {"bits": 8, "salient_bits": 8}},
        {"activations": {"bits": 1, "salient_bits": 0}},
        {"activations": {"salient_rule": "outside", "zero_point": "symmetric"}},
        {"activations": {"salient_format": "float"}},
        {"activations": {"scale": "token"}, "correct_bias": True},
        {"activations": {"scale": "token", "zero_point": "symmetric", "salient_format": "float", "salient_bits": 7}},
    ],
    ids=str,
)
def test_every_kind_of_recipe_loads_bit_for_bit(
    float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path, values: dict[str, Any]
) -> None:
    recipe = Recipe.model_validate(values)
    quantize_model(float_model.model, windows, spikequant(recipe))
    kind = TokenSite if recipe.activations.scale == "token" else Site
    assert all(isinstance(layer.site, kind) for layer in quantized_layers(float_model.model).values())
    save_checkpoint(tmp_path, float_model, recipe, calibration="some text")
    checkpoint = load_checkpoint(tmp_path)
    check_same(checkpoint.language_model.model, float_model.model, windows[0])
    assert checkpoint.description.recipe == recipe


def test_narrow_codes_are_stored_two_a_byte(
    float_model: LanguageModel, windows: list[torch.Tensor], tmp_path: Path
) -> None:
    name = "model.layers.0.mlp.down_proj.codes"
    for bits, columns in ((4, 24), (2, 24), (5, 48)):
        model = copy.deepcopy(float_model)
        recipe = Recipe.model_validate({"weights": {"bits": bits}, "equalize": ()})
        quantize_model(model.model, windows, spikequant(recipe))
        save_checkpoint(tmp_path, model, recipe, calibration="some text")
        assert load_file(tmp_path / TENSORS)[name].shape == (32, columns)


def test_saving_again_takes_the_place_of_what_was_there(
    float_model: LanguageModel, folder: Path, windows: list[torch.Tensor]
) -> None:
    recipe = Recipe.model_validate({"weights": {"bits": 8}})
    quantize_model(float_model.model, windows, spikequant(recipe))
    save_checkpoint(folder, float_model, recipe, calibration="other text")
    check_same(load_checkpoint(folder).language_model.model, float_model.model, windows[0])
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "tmp"))]


def refuse(folder: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def edit(folder: Path, **changes: object) -> None:
    path = folder / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Change the tensors and their digest, so that only what is inside can be wrong."""
    save_file(tensors, folder / TENSORS)
    files = json.loads((folder / DESCRIPTION).read_text())["files"]
    edit(folder, files=files | {TENSORS: sha256(folder / TENSORS)})


@pytest.mark.parametrize("name", [DESCRIPTION, TENSORS, "tokenizer.json"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    refuse(folder, name)


@pytest.mark.parametrize("name", [DESCRIPTION, TENSORS, "tokenizer.json"])
def test_a_truncated_file_is_refused(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    refuse(folder, name)


def test_a_flipped_bit_is_refused(folder: Path) -> None:
    content = bytearray((folder / TENSORS).read_bytes())
    content[-1] ^= 1
    (folder / TENSORS).write_bytes(content)
    refuse(folder, "SHA-256 is .* expected")


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 1, 10**9])
def test_another_version_is_refused_before_anything_else(folder: Path, version: int) -> None:
    edit(folder, format_version=version, something="new", sites=None)
    refuse(folder, f"spikequant.json: format_version is {version}, expected 2 or {FORMAT_VERSION}$")


@pytest.mark.parametrize("version", [None, "two", [2], 2.5])
def test_a_version_that_is_none_is_refused(folder: Path, version: object) -> None:
    edit(folder, format_version=version)
    refuse(folder, r"spikequant\.json: format_version: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"layers": None}, "layers: "),
        ({"files": {"../secret": "0"}}, "names no model.safetensors"),
        ({"files": {"model.safetensors": "0"}}, "SHA-256"),
        ({"config": {"model_type": "no-such-model"}}, "cannot build the model"),
        ({"recipe": {"weights": {"wide_fraction": 2}}}, r"recipe\.weights\.wide_fraction: "),
        ({"recipe": {"wide_fraction": 0.1}}, r"recipe\.wide_fraction: Extra inputs are not permitted"),
        ({"sites": {}}, "unknown site"),
        ({"sites": {"x": {"median": 0, "threshold": 1, "scale": 0, "zero": 3}}}, r"sites\.x\..*: .*scale > 0"),
        ({"sites": {"x": {"median": 0, "threshold": 1, "scale": 1, "zero": 3, "more": 1}}}, r"sites\.x\..*more: "),
        ({"sites": {"x": {"median": 0, "threshold": 1, "scale": 1, "zero": 3, "bits": 40}}}, r"sites\.x\..*bits in 1"),
        ({"sites": {"x": {"k": 3.0, "salient_bits": 1}}}, r"sites\.x\..*"),
        ({"layers": {}}, "belongs to no part of the model"),
    ],
)
def test_a_changed_description_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, **changes)
    refuse(folder, message)


def test_tensors_that_do_not_fit_are_refused(folder: Path) -> None:
    tensors = load_file(folder / TENSORS)
    name = "model.layers.0.self_attn.q_proj.codes"
    edit_tensors(folder, tensors | {name: tensors[name][:5].clone()})
    refuse(folder, r"q_proj.codes is torch.uint8 \[5, 16\], expected torch.uint8 \[32, 16\]")
    edit_tensors(folder, {key: tensor for key, tensor in tensors.items() if key != name})
    refuse(folder, "q_proj.codes is missing")
    edit_tensors(folder, {key: tensor for key, tensor in tensors.items() if key != "model.norm.weight"})
    refuse(folder, "model.norm.weight is missing")
    edit_tensors(folder, tensors | {"model.surprise": torch.zeros(1)})
    refuse(folder, "model.surprise belongs to no part of the model")


LAYER = "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("wide", torch.tensor([4, 5, 99], dtype=torch.int32), "wide"),
        ("wide", torch.tensor([-1, 5, 9], dtype=torch.int32), "wide"),
        ("wide", torch.tensor([5, 5, 9], dtype=torch.int32), "wide"),
        ("zeros", torch.full((32,), 16, dtype=torch.uint8), "zeros"),
        ("scales", torch.zeros(32), "scales"),
        ("scales", torch.full((32,), float("nan")), "scales"),
        ("output_exponents", torch.full((32,), 16, dtype=torch.uint8), "output_exponents"),
        ("bias", torch.full((32,), float("inf")), "bias"),
    ],
)
def test_numbers_that_no_quantizer_gives_are_refused(
    folder: Path, part: str, value: torch.Tensor, message: str
) -> None:
    tensors = load_file(folder / TENSORS)
    assert tensors[f"{LAYER}.{part}"].shape == value.shape
    edit_tensors(folder, tensors | {f"{LAYER}.{part}": value})
    refuse(folder, f"tensor {LAYER}.{message} holds .*, expected ")


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_is_refused_and_never_loaded(folder: Path, tmp_path: Path, protocol: int) -> None:
    trap = pickle.dumps(Trap(tmp_path / "sprung"), protocol)
    for content in (trap, b"\x80\x04\x95", b""):
        (folder / TENSORS).write_bytes(content)
        files = json.loads((folder / DESCRIPTION).read_text())["files"]
        edit(folder, files=files | {TENSORS: sha256(folder / TENSORS)})
        refuse(folder, "not a safetensors file")
    assert not (tmp_path / "sprung").exists()
    # the trap works
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists()


def test_weights_saved_by_torch_are_refused_and_never_loaded(folder: Path, tmp_path: Path) -> None:
    torch.save({"model.norm.weight": Trap(tmp_path / "sprung")}, folder / TENSORS)
    torch.save({"model.norm.weight": Trap(tmp_path / "sprung")}, folder / "pytorch_model.bin")
    files = json.loads((folder / DESCRIPTION).read_text())["files"]
    edit(folder, files=files | {TENSORS: sha256(folder / TENSORS)})
    refuse(folder, "not a safetensors file")
    assert not (tmp_path / "sprung").exists()


def to_version_2(folder: Path) -> dict[str, torch.Tensor]:
    """Rewrite a checkpoint in format 2, whose outputs had any steps of their own; return the peaks by layer."""
    tensors = load_file(folder / TENSORS)
    content = json.loads((folder / DESCRIPTION).read_text())
    peaks = {}
    for number, (name, facts) in enumerate(content["layers"].items()):
        del facts["output_scale"]
        exponents = tensors.pop(f"{name}.output_exponents")
        generator = torch.Generator().manual_seed(number)
        peaks[name] = torch.rand(exponents.shape, generator=generator).mul(9).exp()
        tensors[f"{name}.output_peaks"] = peaks[name]
    edit(folder, format_version=2, layers=content["layers"])
    edit_tensors(folder, tensors)
    return peaks


def test_format_2_is_read_with_the_next_larger_output_steps(folder: Path, quantized_model: LanguageModel) -> None:
    peaks = to_version_2(folder)
    model = load_checkpoint(folder).language_model.model
    expected = quantized_model.model
    with torch.no_grad():
        membranes = {name: layer.exact(torch.ones(1, layer.codes.shape[1])) for name, layer in read_layers(model)}
        for name, layer in read_layers(expected):
            assert membranes[name].equal(layer.exact(torch.ones(1, layer.codes.shape[1])))
    for name, layer in read_layers(model):
        coarser = layer.output_steps(8) * 127 / peaks[name].double()
        assert ((coarser >= 1 - 1e-6) & (coarser < 2)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: None, "cannot read the peaks of all layers"),
        (lambda peaks: -peaks, "output_peaks holds impossible values"),
        (lambda peaks: peaks * torch.inf, "output_peaks holds impossible values"),
        (lambda peaks: peaks[:-1], r"output_exponents is torch.uint8 \[31\], expected torch.uint8 \[32\]"),
    ],
)
def test_bad_peaks_are_refused(
    folder: Path, change: Callable[[torch.Tensor], torch.Tensor | None], message: str
) -> None:
    to_version_2(folder)
    tensors = load_file(folder / TENSORS)
    name = "model.layers.0.self_attn.q_proj.output_peaks"
    changed = change(tensors.pop(name))
    edit_tensors(folder, tensors if changed is None else tensors | {name: changed})
    refuse(folder, message)


def read_layers(model: PreTrainedModel) -> list[tuple[str, SpikeQuantLinear]]:
    return sorted(quantized_layers(model).items())
