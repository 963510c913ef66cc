"""An interrupted quantization resumes and ends with the same result, bit for bit."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.checkpoint.block_store import BlockStore
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.method import FloatLayer, Method
from spikequant.golden.quantizer.recipe import RECIPES, Recipe, Weights
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError

FAST = Recipe(weights=Weights(wide_fraction=0.1))


class KilledError(Exception):
    """Any error that ends a run."""


def watched(method: Method, names: list[str], *, die_at: str = "never") -> Method:
    """The method, noting the layers that it quantizes, and dying at one of them."""

    def quantize(layer: FloatLayer) -> nn.Module:
        if die_at in layer.name:
            raise KilledError
        names.append(layer.name)
        return method.quantize(layer)

    return replace(method, quantize=quantize)


def run(
    model: PreTrainedModel, windows: list[Tensor], store: BlockStore, recipe: Recipe = FAST, *, die_at: str = "never"
) -> list[str]:
    """Quantize in place with the store; the layers that had to be quantized."""
    names: list[str] = []
    quantize_model(model, windows, watched(spikequant(recipe), names, die_at=die_at), keeper=store)
    return names


@pytest.fixture
def fresh(float_model: LanguageModel) -> Callable[[], PreTrainedModel]:
    return lambda: copy.deepcopy(float_model.model)


def same(found: PreTrainedModel, expected: PreTrainedModel) -> bool:
    """Whether two quantized models are bit for bit the same."""
    tensors, wanted = found.state_dict(), expected.state_dict()
    layers, others = quantized_layers(found), quantized_layers(expected)
    return (
        tensors.keys() == wanted.keys()
        and all(tensor.equal(wanted[name]) and tensor.dtype == wanted[name].dtype for name, tensor in tensors.items())
        and {name: (layer.site, layer.weight_bits) for name, layer in layers.items()}
        == {name: (layer.site, layer.weight_bits) for name, layer in others.items()}
        and all(layer.steps.equal(others[name].steps) for name, layer in layers.items())
    )


@pytest.mark.parametrize(
    "recipe",
    [
        FAST,
        RECIPES["plain"].model_copy(update={"weights": Weights(wide_fraction=0.0, bits=2)}),
        RECIPES["token"],
    ],
    ids=["fast", "narrow", "token"],
)
def test_a_killed_run_resumes_and_ends_with_the_same_result(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path, recipe: Recipe
) -> None:
    uninterrupted = fresh()
    quantize_model(uninterrupted, windows, spikequant(recipe))
    killed = fresh()
    with pytest.raises(KilledError):
        run(killed, windows, BlockStore(tmp_path, "a"), recipe, die_at="layers.1.mlp.up_proj")
    resumed = fresh()
    names = run(resumed, windows, BlockStore(tmp_path, "a"), recipe)
    assert len(names) == 7
    assert all(name.startswith("model.layers.1.") for name in names)
    assert same(resumed, uninterrupted)
    assert not same(resumed, killed)
    # a third run has nothing left to do
    done = fresh()
    assert run(done, windows, BlockStore(tmp_path, "a"), recipe) == []
    assert same(done, uninterrupted)


def test_only_the_newest_block_has_hidden_states(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path
) -> None:
    run(fresh(), windows, BlockStore(tmp_path, "a"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["block-000.safetensors", "block-001.safetensors"]
    states = sum(window.numel() for window in windows) * 32 * 4
    sizes = [(tmp_path / f"block-00{i}.safetensors").stat().st_size for i in (0, 1)]
    assert states < sizes[1] - sizes[0] < states + 4096


def test_blocks_of_another_digest_are_not_used(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path
) -> None:
    run(fresh(), windows, BlockStore(tmp_path, "a"))
    assert BlockStore(tmp_path, "b").resume(fresh()) is None
    assert len(run(fresh(), windows, BlockStore(tmp_path, "b"))) == 14
    assert BlockStore(tmp_path, "a").resume(fresh()) is None


def test_a_later_block_of_an_earlier_digest_is_not_used(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path
) -> None:
    run(fresh(), windows, BlockStore(tmp_path, "a"))
    with pytest.raises(KilledError):
        run(fresh(), windows, BlockStore(tmp_path, "b"), die_at="layers.1")
    kept = BlockStore(tmp_path, "b").resume(fresh())
    assert kept is not None
    assert kept[0] == 1
    uninterrupted, resumed = fresh(), fresh()
    quantize_model(uninterrupted, windows, spikequant(FAST))
    assert len(run(resumed, windows, BlockStore(tmp_path, "b"))) == 7
    assert same(resumed, uninterrupted)


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_block_is_not_used(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path, block: int, share: float
) -> None:
    run(fresh(), windows, BlockStore(tmp_path, "a"))
    path = tmp_path / f"block-00{block}.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    uninterrupted, resumed = fresh(), fresh()
    quantize_model(uninterrupted, windows, spikequant(FAST))
    # without block 0, or without the hidden states that only the newest block has, all starts anew
    assert len(run(resumed, windows, BlockStore(tmp_path, "a"))) == 14
    assert same(resumed, uninterrupted)


def test_a_run_killed_between_two_writes_resumes(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path
) -> None:
    """A block is written before the previous one is rewritten without hidden states: both have some in between."""
    with pytest.raises(KilledError):
        run(fresh(), windows, BlockStore(tmp_path, "a"), die_at="layers.1")
    first = (tmp_path / "block-000.safetensors").read_bytes()
    run(fresh(), windows, BlockStore(tmp_path, "a"))
    (tmp_path / "block-000.safetensors").write_bytes(first)
    uninterrupted, resumed = fresh(), fresh()
    quantize_model(uninterrupted, windows, spikequant(FAST))
    run(resumed, windows, BlockStore(tmp_path, "a"))
    assert same(resumed, uninterrupted)


def test_a_folder_that_cannot_be_written_is_refused(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    store = BlockStore(tmp_path / "file", "a")
    assert store.resume(fresh()) is None
    with pytest.raises(InputError, match="cannot write here"):
        run(fresh(), windows, store)


def test_what_cannot_be_put_back_is_not_kept(
    fresh: Callable[[], PreTrainedModel], windows: list[Tensor], tmp_path: Path
) -> None:
    """A research layer has no codes: a block of such layers would be restored with float layers."""
    research = Recipe(weights=Weights(group_size=16))
    with pytest.raises(TypeError, match="q_proj is FakeQuantLinear, expected SpikeQuantLinear"):
        run(fresh(), windows, BlockStore(tmp_path, "a"), research)
    assert list(tmp_path.iterdir()) == []


@torch.no_grad()
def test_each_family_resumes(family_model: LanguageModel, tmp_path: Path) -> None:
    windows = [torch.arange(1, 25), torch.arange(4, 20)]
    killed, resumed = copy.deepcopy(family_model.model), copy.deepcopy(family_model.model)
    quantize_model(family_model.model, windows, spikequant(FAST))
    names: list[str] = []
    with pytest.raises(KilledError):
        quantize_model(
            killed, windows, watched(spikequant(FAST), names, die_at=".1."), keeper=BlockStore(tmp_path, "a")
        )
    quantize_model(resumed, windows, spikequant(FAST), keeper=BlockStore(tmp_path, "a"))
    assert same(resumed, family_model.model)
    logits = [model(windows[0][None]).logits for model in (resumed, family_model.model)]
    assert logits[0].equal(logits[1])
