"""Distillation of a tiny Llama: it helps, it resumes, and it changes only what it should."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from spikequant.golden.distillation.distill import (
    SITE_RISE,
    STATE,
    Training,
    check_trainable,
    distill,
    freeze,
    learning_rate,
    make_student,
    make_teacher,
)
from spikequant.golden.distillation.trainable import TrainableLinear, TrainableSite
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.windows import token_windows
from spikequant.golden.quantizer.calibrate import quantize_model
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import Distillation, Recipe
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError

CONTEXT = 24

SETTINGS = Distillation(
    steps=40, batch=4, context=CONTEXT, warmup=3, weight_rate=2e-2, scale_rate=5e-3, site_rate=5e-3, most_salient=0.2
)


class KilledError(Exception):
    """Stands for whatever ends a run."""


def make_recipe(**values: Any) -> Recipe:
    """Three bits, so that there is much to win."""
    activations = {"salient_rule": "outside", **values.pop("activations", {})}
    chosen: dict[str, Any] = {"weights": {"bits": 3, "wide_fraction": 0.1}, "equalize": [], **values}
    return Recipe.model_validate({**chosen, "activations": activations})


def teach(model: PreTrainedModel, windows: list[Tensor], recipe: Recipe) -> None:
    """Quantize a float model in place, and make its layers trainable."""
    quantize_model(model, windows, spikequant(recipe.model_copy(update={"distillation": SETTINGS})))
    make_student(model)


@dataclass(frozen=True)
class Classroom:
    """A float model with its teacher and student, windows to train on, and others."""

    model: PreTrainedModel
    teacher: PreTrainedModel
    student: PreTrainedModel
    windows: list[Tensor]
    held_out: list[Tensor]


@pytest.fixture
def random_windows() -> list[Tensor]:
    generator = torch.Generator().manual_seed(12)
    return list(torch.randint(1, 30, (36, CONTEXT), generator=generator))


@pytest.fixture
def classroom(float_model: LanguageModel, random_windows: list[Tensor]) -> Classroom:
    windows = random_windows[:24]
    student = copy.deepcopy(float_model.model)
    teach(student, windows[:8], make_recipe())
    return Classroom(float_model.model, make_teacher(float_model.model), student, windows, random_windows[24:])


def with_student(room: Classroom) -> Classroom:
    """The same with a student of its own."""
    return replace(room, student=copy.deepcopy(room.student))


def train(room: Classroom, folder: Path, settings: Distillation = SETTINGS, *, digest: str = "a") -> Training:
    held_out = room.held_out[:3]
    return distill(room.teacher, room.student, room.windows, settings, held_out=held_out, keep=folder, digest=digest)


@torch.no_grad()
def divergence(expected: PreTrainedModel, model: PreTrainedModel, windows: list[Tensor]) -> float:
    """Mean Kullback-Leibler divergence per token, computed apart from the code under test."""
    batch = torch.stack(windows)
    truth, found = (each(batch).logits.double().log_softmax(-1) for each in (expected, model))
    return float((truth.exp() * (truth - found)).sum(-1).mean())


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(tensor.equal(expected[name]) for name, tensor in found.items())


def cloned(model: PreTrainedModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_training_lowers_the_divergence_on_held_out_windows_too(classroom: Classroom, tmp_path: Path) -> None:
    untrained = copy.deepcopy(classroom.student)
    freeze(untrained)
    training = train(classroom, tmp_path)
    freeze(classroom.student)
    for windows in (classroom.windows, classroom.held_out):
        before = divergence(classroom.model, untrained, windows)
        after = divergence(classroom.model, classroom.student, windows)
        assert after < 0.7 * before
    # what training says of itself
    assert (training.steps, training.tokens) == (40, 40 * 4 * CONTEXT)
    assert len(training.divergence) == len(training.salient) == 40
    assert sum(training.divergence[-5:]) < 0.7 * sum(training.divergence[:5])
    assert str(training) == f"distilled in 40 updates on {40 * 4 * CONTEXT} tokens"
    assert training.seconds > 0
    # the curve begins and ends with what the untrained and the trained student have
    assert list(training.held_out) == [*range(0, 40, 3), 40]
    for step, model in ((0, untrained), (40, classroom.student)):
        expected = divergence(classroom.model, model, classroom.held_out[:3])
        assert training.held_out[step] == pytest.approx(expected, rel=0.15)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_the_first_divergence_is_that_of_the_untrained_student(classroom: Classroom, tmp_path: Path) -> None:
    expected = divergence(classroom.model, classroom.student, classroom.windows)
    settings = SETTINGS.model_copy(update={"steps": 1, "batch": len(classroom.windows)})
    # the teacher computes in bfloat16
    assert train(classroom, tmp_path, settings).divergence == [pytest.approx(expected, rel=0.1)]


def test_only_what_should_learn_changes(classroom: Classroom, tmp_path: Path) -> None:
    teacher, model, student = (cloned(each) for each in (classroom.teacher, classroom.model, classroom.student))
    train(classroom, tmp_path)
    assert same(cloned(classroom.teacher), teacher)
    assert same(cloned(classroom.model), model)
    changed = {name for name, tensor in classroom.student.state_dict().items() if not tensor.equal(student[name])}
    learned = ("latent", "log_scale", "bias", "layernorm.weight", "norm.weight")
    assert all(name.endswith(learned) for name in changed), changed
    assert {name for name in student if name.endswith(("latent", "layernorm.weight", "model.norm.weight"))} <= changed
    embeddings = classroom.student.get_input_embeddings().weight
    assert embeddings.equal(classroom.model.get_input_embeddings().weight)
    assert classroom.student.get_output_embeddings().weight is embeddings


def test_weights_stay_in_reach_of_their_codes(classroom: Classroom, tmp_path: Path) -> None:
    train(classroom, tmp_path, SETTINGS.model_copy(update={"weight_rate": 5.0, "steps": 10}))
    for layer in classroom.student.modules():
        if isinstance(layer, TrainableLinear):
            steps = layer.grid().steps(layer.latent)
            assert (layer.latent - steps).abs().max() < 0.5


@pytest.mark.parametrize("updates", [1, 7])
def test_a_killed_training_goes_on_and_ends_exactly_where_it_would_have(
    classroom: Classroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: int
) -> None:
    settings = SETTINGS.model_copy(update={"steps": 12})
    rooms = [with_student(classroom) for _ in range(4)]
    expected = train(rooms[0], tmp_path / "other", settings)

    def deadly_rate(step: int, settings: Distillation) -> float:
        if step == updates:
            raise KilledError
        return learning_rate(step, settings)

    with monkeypatch.context() as patch:
        patch.setattr("spikequant.golden.distillation.distill.KEEP_SECONDS", -1.0)
        patch.setattr("spikequant.golden.distillation.distill.learning_rate", deadly_rate)
        with pytest.raises(KilledError):
            train(rooms[1], tmp_path, settings)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [STATE]
    found = train(rooms[2], tmp_path, settings)
    assert same(cloned(rooms[2].student), cloned(rooms[0].student))
    assert (found.divergence, found.salient, found.held_out) == (
        expected.divergence,
        expected.salient,
        expected.held_out,
    )
    # a training that was done is only read back
    assert train(rooms[3], tmp_path, settings) == found
    assert same(cloned(rooms[3].student), cloned(rooms[0].student))


@pytest.mark.parametrize("harm", ["digest", "truncate", "garbage"])
def test_a_kept_state_of_something_else_is_not_used(classroom: Classroom, tmp_path: Path, harm: str) -> None:
    settings = SETTINGS.model_copy(update={"steps": 4})
    fresh, earlier = with_student(classroom), with_student(classroom)
    expected = train(fresh, tmp_path / "other", settings)
    train(earlier, tmp_path, settings.model_copy(update={"steps": 2}))
    content = (tmp_path / STATE).read_bytes()
    if harm == "truncate":
        (tmp_path / STATE).write_bytes(content[: len(content) // 2])
    elif harm == "garbage":
        (tmp_path / STATE).write_bytes(b"\x80\x04" + content)
    found = train(classroom, tmp_path, settings, digest="b" if harm == "digest" else "a")
    assert found.divergence == expected.divergence
    assert same(cloned(classroom.student), cloned(fresh.student))


def test_salience_is_brought_under_its_bound(float_model: LanguageModel, classroom: Classroom, tmp_path: Path) -> None:
    """With all rates 0 only the controller moves anything: every site by one rise an update, until it is content."""
    student = copy.deepcopy(float_model.model)
    teach(student, classroom.windows[:8], make_recipe(activations={"k": {"factor": 0.6}}))
    room = replace(classroom, student=student)
    still = SETTINGS.model_copy(update={"weight_rate": 0.0, "scale_rate": 0.0, "site_rate": 0.0, "batch": 24})
    sites = {name: module for name, module in student.named_modules() if isinstance(module, TrainableSite)}
    before = {name: float(site.log_scale.detach()) for name, site in sites.items()}
    start = train(room, tmp_path, still.model_copy(update={"steps": 1, "most_salient": 1.0}), digest="first").salient[0]
    assert start > 0.02
    assert before == {name: float(site.log_scale.detach()) for name, site in sites.items()}
    bound = 0.9 * start
    training = train(room, tmp_path, still.model_copy(update={"steps": 50, "most_salient": bound}), digest="second")
    rises = sum(salient > bound for salient in training.salient)
    assert 2 < rises < 48
    for name, site in sites.items():
        assert float(site.log_scale.detach()) - before[name] == pytest.approx(rises * SITE_RISE, rel=1e-3)
    # every update sees all windows here, so that content once is content for ever
    assert all(salient > bound for salient in training.salient[:rises])
    assert all(salient <= bound for salient in training.salient[rises:])


def test_the_rate_rises_and_then_falls_to_nothing() -> None:
    settings = Distillation(steps=100, warmup=9)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, rel=1e-2)
    assert max(rates) == rates[9]
    assert rates[9] > 0.97
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_a_frozen_student_is_a_quantized_model(classroom: Classroom, tmp_path: Path) -> None:
    train(classroom, tmp_path, SETTINGS.model_copy(update={"steps": 5}))
    student = classroom.student
    freeze(student)
    layers = quantized_layers(student)
    assert len(layers) == 14
    assert not any(isinstance(module, TrainableLinear | TrainableSite) for module in student.modules())
    assert not any(module._forward_hooks for module in student.modules())
    assert not any(parameter.requires_grad for parameter in student.parameters())
    assert layers["model.layers.0.self_attn.q_proj"].site == layers["model.layers.0.self_attn.v_proj"].site
    assert layers["model.layers.0.self_attn.q_proj"].site != layers["model.layers.0.mlp.up_proj"].site
    assert all(layer.output_bits == 8 for layer in layers.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"activations": {"scale": "token"}}, "needs static sites with salient windows"),
        ({"activations": {"salient_format": "float"}}, "needs static sites with salient windows"),
        ({"activations": {"salient_bits": 0}}, "needs static sites with salient windows"),
        ({"activations": {"salient_rule": "threshold"}}, "needs activations.salient_rule = 'outside'"),
        ({"weights": {"group_size": 8}}, "trains what the datapath runs, not a multiplier"),
        ({"weights": {"salient_k": 3}}, "trains what the datapath runs, not weights of two widths"),
        # a wide column has four bits more, which bfloat16 does not hold
        ({"weights": {"bits": 5, "wide_fraction": 0.1}}, "computes in bfloat16, expected .* at most 8 bits"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(
    float_model: LanguageModel, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"^recipe: distillation {message}"):
        check_trainable(float_model.model, make_recipe(**values))


@pytest.mark.parametrize("values", [{"weights": {"bits": 8, "wide_fraction": 0.0}}, {"weights": {"bits": 4}}])
def test_every_width_that_bfloat16_holds_trains(
    float_model: LanguageModel, random_windows: list[Tensor], values: dict[str, Any]
) -> None:
    teach(float_model.model, random_windows[:2], make_recipe(**values))
    assert any(isinstance(module, TrainableLinear) for module in float_model.model.modules())


def test_a_family_trains_and_is_kept(
    family_model: LanguageModel, prose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six updates of each kind of model, its state written after each; the last one starts nearer."""
    model, recipe = family_model.model, make_recipe(weights={"bits": 4, "wide_fraction": 0.1})
    windows = token_windows(family_model.tokenizer, [prose], tokens=200, context=CONTEXT)[:4]
    student = copy.deepcopy(model)
    if family_model.name == "gemma2":
        with pytest.raises(InputError, match="gemma2: caps its logits"):
            check_trainable(student, recipe)
        return
    teach(student, windows, recipe)
    teacher, untrained = make_teacher(model), copy.deepcopy(student)
    head = {name: tensor.clone() for name, tensor in student.get_output_embeddings().state_dict().items()}
    expected = divergence(model, untrained, windows)
    monkeypatch.setattr("spikequant.golden.distillation.distill.KEEP_SECONDS", -1.0)
    settings = SETTINGS.model_copy(update={"steps": 6, "warmup": 0, "weight_rate": 5e-3, "scale_rate": 1e-3})
    training = distill(teacher, student, windows, settings, keep=tmp_path, digest="a")
    assert training.divergence[0] == pytest.approx(expected, rel=0.2)
    assert training.divergence[-1] < training.divergence[0]
    assert same(student.get_output_embeddings().state_dict(), head)
    freeze(student)
    assert len(quantized_layers(student)) > 0
