"""Whole models quantized on their own activations."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from spikequant.golden.checkpoint.block_store import BlockStore
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.evaluation.methods import find_method
from spikequant.golden.models.model import LanguageModel, decoder_blocks, decoder_linears
from spikequant.golden.models.prefix import attach_prefix, compute_prefix, model_prefix
from spikequant.golden.quantizer.blocks import hidden_states
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import RECIPES, Recipe


def make_recipe(**values: Any) -> Recipe:
    chosen = RECIPES["compensated"].model_dump() | {"weights": {"bits": 3, "wide_fraction": 0.1}, **values}
    return Recipe.model_validate(chosen)


def quantize(model: PreTrainedModel, windows: list[Tensor], recipe: Recipe, **options: Any) -> None:
    method = find_method("spikequant", recipe)
    assert method
    quantize_model(model, windows, method, **options)


@torch.no_grad()
def divergence(expected: PreTrainedModel, model: PreTrainedModel, windows: list[Tensor]) -> float:
    total = 0.0
    for window in windows:
        truth, found = (each(window[None]).logits[0].double().log_softmax(-1) for each in (expected, model))
        total += float((truth.exp() * (truth - found)).sum())
    return total / sum(window.numel() for window in windows)


def random_windows(count: int, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randint(1, 30, (count, 48), generator=generator))


@pytest.mark.parametrize("prefixed", [False, True])
def test_a_compensated_model_is_nearer_on_other_text(float_model: LanguageModel, prefixed: bool) -> None:
    reference = float_model.model
    if prefixed:
        attach_prefix(reference, compute_prefix(reference, (4,)))
    windows, held_out = random_windows(24), random_windows(8, seed=2)
    found = {}
    for name in ("fast", "compensated"):
        model = copy.deepcopy(reference)
        recipe = RECIPES[name].model_dump() | {"weights": {"bits": 3, "wide_fraction": 0.1}}
        quantize(model, windows, Recipe.model_validate(recipe))
        assert len(quantized_layers(model)) == 14
        found[name] = divergence(reference, model, held_out)
    assert found["compensated"] < 0.8 * found["fast"]


def test_every_family_is_compensated(family_model: LanguageModel) -> None:
    reference = copy.deepcopy(family_model.model)
    attach_prefix(reference, compute_prefix(reference, (4,)))
    model = copy.deepcopy(reference)
    windows = random_windows(12)
    quantize(model, windows, make_recipe(weights={"bits": 4}))
    assert len(quantized_layers(model)) == len(decoder_linears(reference))
    assert divergence(reference, model, windows) < 0.3
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_value_means_fold_without_a_change_of_function(float_model: LanguageModel) -> None:
    """At eight bits hardly anything is left to round: the folded model with its folded prefix is the float one."""
    reference = float_model.model
    attach_prefix(reference, compute_prefix(reference, (4, 7)))
    model = copy.deepcopy(reference)
    wide = {"bits": 8, "wide_fraction": 0.0}
    recipe = make_recipe(weights=wide, activations={"bits": 8, "salient_bits": 8})
    quantize(model, random_windows(12), recipe)
    for layer in quantized_layers(model).values():
        layer.output_bits = 16
    assert divergence(reference, model, random_windows(4, seed=2)) < 2e-3
    before, after = model_prefix(reference), model_prefix(model)
    assert before
    assert after
    assert not after.states(1)[1].equal(before.states(1)[1])


def test_a_killed_run_resumes_to_the_same_model(float_model: LanguageModel, tmp_path: Path) -> None:
    reference = float_model.model
    attach_prefix(reference, compute_prefix(reference, (4,)))
    windows, recipe = random_windows(6), make_recipe(distillation={"steps": 1})
    expected, interrupted, resumed = (copy.deepcopy(reference) for _ in range(3))
    quantize(expected, windows, recipe)

    class KilledError(Exception):
        """Stands for whatever ends a run."""

    class Deadly(BlockStore):
        def keep(self, model: PreTrainedModel, block: int, hidden: list[Tensor]) -> None:
            super().keep(model, block, hidden)
            raise KilledError

    with pytest.raises(KilledError):
        quantize(interrupted, windows, recipe, keeper=Deadly(tmp_path, "a"))
    quantize(resumed, windows, recipe, keeper=BlockStore(tmp_path, "a"))
    found, wanted = resumed.state_dict(), expected.state_dict()
    assert found.keys() == wanted.keys()
    assert all(tensor.equal(wanted[name]) for name, tensor in found.items())


def test_a_dead_zone_silences_inputs(float_model: LanguageModel) -> None:
    windows = random_windows(8)
    silent = []
    for dead_zone in (0.5, 1.0):
        model = copy.deepcopy(float_model.model)
        quantize(model, windows, make_recipe(activations={"dead_zone": dead_zone}))
        assert {layer.site.dead_zone for layer in quantized_layers(model).values()} == {dead_zone}
        silent.append(measure_accuracy(model, windows).silent_ratio)
    assert silent[1] > 1.5 * silent[0]


def test_known_outputs_of_layers_are_those_that_they_compute(float_model: LanguageModel) -> None:
    """Hidden states after the last block, for which layers were not run again, are those of the finished model."""
    kept: list[Tensor] = []

    class Watch:
        def resume(self, model: PreTrainedModel) -> None:  # noqa: ARG002 - the protocol has it
            return None

        def keep(self, model: PreTrainedModel, block: int, hidden: list[Tensor]) -> None:  # noqa: ARG002
            kept[:] = hidden

    model, windows = float_model.model, random_windows(3)
    attach_prefix(model, compute_prefix(model, (4,)))
    quantize(model, windows, make_recipe(), keeper=Watch())
    found: list[Tensor] = []
    *_, last = decoder_blocks(model).values()
    last.register_forward_hook(lambda _module, _inputs, output: found.append(hidden_states(output, "block")))
    for window in windows:
        model(window[None])
    assert all(torch.allclose(kept[len(windows) + i], hidden, rtol=1e-4, atol=1e-5) for i, hidden in enumerate(found))
