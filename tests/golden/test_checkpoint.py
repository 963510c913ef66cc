import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from golden.calibrate import Recipe
from golden.checkpoint import is_checkpoint, load_checkpoint, pack_nibbles, save_checkpoint, unpack_nibbles
from golden.description import DESCRIPTION, TENSORS, sha256
from golden.errors import InputError
from golden.evaluate import quantized_layers
from golden.model import LanguageModel


@pytest.fixture
def folder(quantized_model: LanguageModel, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", quantized_model, Recipe(wide_fraction=0.1), calibration="some text")
    return tmp_path / "saved"


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**31))
def test_nibbles_survive_packing(rows: int, columns: int, seed: int) -> None:
    codes = torch.randint(0, 16, (rows, columns), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    packed = pack_nibbles(codes)
    assert packed.shape == (rows, -(-columns // 2))
    assert unpack_nibbles(packed, columns).equal(codes)


def test_a_checkpoint_loads_bit_for_bit(
    quantized_model: LanguageModel, folder: Path, windows: list[torch.Tensor]
) -> None:
    assert is_checkpoint(folder)
    checkpoint = load_checkpoint(folder)
    loaded, saved = checkpoint.language_model.model, quantized_model.model
    expected = saved.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(tensor.equal(expected[name]) for name, tensor in loaded.state_dict().items())
    for name, layer in quantized_layers(loaded).items():
        assert layer.site == quantized_layers(saved)[name].site
    assert loaded(windows[0][None]).logits.equal(saved(windows[0][None]).logits)
    assert (
        checkpoint.language_model.tokenizer("the lane")["input_ids"]
        == quantized_model.tokenizer("the lane")["input_ids"]
    )
    assert checkpoint.description.recipe == Recipe(wide_fraction=0.1)
    assert checkpoint.description.calibration == "some text"


def test_an_untied_output_head_is_kept(quantized_model: LanguageModel, tmp_path: Path) -> None:
    head = torch.nn.Linear(32, quantized_model.model.config.vocab_size, bias=False)
    quantized_model.model.config.tie_word_embeddings = False
    quantized_model.model.set_output_embeddings(head)
    save_checkpoint(tmp_path, quantized_model, Recipe(), calibration="some text")
    assert load_checkpoint(tmp_path).language_model.model.get_output_embeddings().weight.equal(head.weight)


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


def test_another_version_is_refused(folder: Path) -> None:
    edit(folder, format_version=2, something="new")
    refuse(folder, "format_version is 2, expected 1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"layers": None}, "layers: "),
        ({"files": {"../secret": "0"}}, "names no model.safetensors"),
        ({"files": {"model.safetensors": "0"}}, "SHA-256"),
        ({"config": {"model_type": "no-such-model"}}, "cannot build the model"),
        ({"recipe": {"wide_fraction": 2}}, "wide_fraction: 2"),
        ({"sites": {}}, "unknown site"),
        ({"sites": {"x": {"median": 0, "threshold": 1, "scale": 0, "zero": 3}}}, "sites.x: .*scale > 0"),
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


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    (folder / TENSORS).write_bytes(b"\x80\x04\x95")
    edit(folder, files=json.loads((folder / DESCRIPTION).read_text())["files"] | {TENSORS: sha256(folder / TENSORS)})
    refuse(folder, "not a safetensors file")
