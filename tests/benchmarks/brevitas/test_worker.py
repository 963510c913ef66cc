"""The worker without Brevitas: its prefix, and when the flow computes it."""

import copy
import importlib
import sys
from math import exp
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from spikequant.golden.comparison.external import SAME
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import add_prefix

PREFIX = (3, 5)

STUBS = (
    *("accelerate", "accelerate.utils", "accelerate.utils.operations"),
    *("brevitas", "brevitas.export", "brevitas.export.inference", "brevitas.export.inference.manager"),
    *("brevitas_examples", "brevitas_examples.llm", "brevitas_examples.llm.llm_args"),
    "brevitas_examples.llm.llm_quant",
)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The worker's module, with stand-ins for the packages of its environment."""
    for name in STUBS:
        monkeypatch.setitem(sys.modules, name, MagicMock())
    name = "spikequant.benchmarks.brevitas.worker"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    # forget it with its stand-ins
    monkeypatch.setitem(sys.modules, name, module)
    return module


def logits(model: Any, window: torch.Tensor) -> torch.Tensor:
    return model(input_ids=window[None], attention_mask=torch.ones_like(window)[None]).logits


def test_scores_are_those_of_eval(worker: ModuleType, float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    ours, other = float_model.model, copy.deepcopy(float_model.model)
    reference = copy.deepcopy(ours)
    other.lm_head.weight.data *= 1.5
    expected_other = LanguageModel(copy.deepcopy(other), float_model.tokenizer, "tiny")
    add_prefix(ours, PREFIX)
    add_prefix(expected_other.model, PREFIX)
    expected = measure_accuracy(expected_other.model, windows, ours)
    for model in (reference, other):
        worker.attach_prefix(model, list(PREFIX))
    # twice, since a pass must leave nothing in the prefix
    for _ in range(2):
        found = worker.score(other, reference, [window.tolist() for window in windows])
        assert found["tokens"] == expected.tokens
        assert exp(found["loss"] / found["tokens"]) == pytest.approx(expected.perplexity, rel=1e-4)
        assert found["divergence"] / found["tokens"] == pytest.approx(expected.divergence, rel=1e-3)
    floats = measure_accuracy(ours, windows).perplexity
    assert abs(exp(found["float_loss"] / found["tokens"]) / floats - 1) < SAME
    assert abs(measure_accuracy(float_model.model, windows).perplexity / floats - 1) < SAME


@torch.no_grad()
def test_a_block_repeats_with_the_same_arguments(worker: ModuleType, float_model: LanguageModel) -> None:
    model, window = float_model.model, torch.arange(1, 13)
    worker.attach_prefix(model, list(PREFIX))
    block, calls = model.model.layers[0], []
    catch = block.register_forward_pre_hook(lambda _, args, named: calls.append((args, named)), with_kwargs=True)
    logits(model, window)
    catch.remove()
    args, named = calls[0]
    # as Qronos does, within one call
    assert block.forward(*args, **named).equal(block.forward(*args, **named))


@pytest.mark.parametrize("option", ["", "--act-equalization layerwise"])
@torch.no_grad()
def test_the_flow_computes_the_prefix_after_rotations_and_in_floats(
    worker: ModuleType, float_model: LanguageModel, windows: list[torch.Tensor], option: str
) -> None:
    expected = copy.deepcopy(float_model.model)
    add_prefix(expected, PREFIX)
    seen: list[torch.Tensor] = []

    def step(model: Any, **_: Any) -> Any:
        seen.append(logits(model, windows[0]))
        model.model.layers[0].self_attn.v_proj.weight.data.zero_()
        return model

    def flow(_args: Any, _unknown: Any) -> tuple[dict[str, float], Any]:
        model = copy.deepcopy(float_model.model)
        attention = model.model.layers[0].self_attn
        # as a rotation: values in another basis, the same outputs
        for parameter in (*attention.v_proj.parameters(), attention.o_proj.weight):
            parameter.data *= -1
        if option:
            worker.flow.apply_act_equalization(model, scale=1)
        return {}, worker.flow.layerwise_quantize(model=model)

    worker.flow = SimpleNamespace(apply_act_equalization=step, layerwise_quantize=step, quantize_llm=flow)
    worker.create_args_parser().parse_known_args.return_value = (None, None)
    model = worker.quantize("folder", option.split(), [window.tolist() for window in windows], list(PREFIX))
    torch.testing.assert_close(seen[0], logits(expected, windows[0]), rtol=1e-4, atol=1e-4)
    # the prefix keeps its values when others change
    expected.model.layers[0].self_attn.v_proj.weight.data.zero_()
    torch.testing.assert_close(logits(model, windows[0]), logits(expected, windows[0]), rtol=1e-4, atol=1e-4)
    assert not logits(model, windows[0]).allclose(seen[0])
    assert len(seen) == 1 + bool(option)


def test_without_a_prefix_nothing_changes(worker: ModuleType, float_model: LanguageModel) -> None:
    expected = logits(float_model.model, torch.arange(1, 13))
    worker.attach_prefix(float_model.model, [])
    assert logits(float_model.model, torch.arange(1, 13)).equal(expected)
