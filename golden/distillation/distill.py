"""Distillation: train a quantized model to make the predictions of its float model.

Straight-through training of weights, scales, norm gains and biases by Adam (arXiv 1412.6980) on the divergence of
the predictions, as in LLM-QAT (arXiv 2305.17888), on a few hundred windows of calibration text.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.distillation.trainable import TrainableLinear, TrainableSite
from spikequant.golden.models.model import decoder_linears, replace_layer, site_name
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import Distillation, Recipe
from spikequant.golden.quantizer.site import Site
from spikequant.golden.quantizer.weights import LOW_BITS
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.progress import track
from spikequant.golden.support.tensor_file import find_tensors, keep_tensors

HEAD_TOKENS = 256
"""Tokens whose predictions are in memory at once."""

KEEP_SECONDS = 240.0
"""Seconds between two writes of the training's state to disk."""

SITE_RISE = 0.003
"""Increase of every site's log scale after an update with too many salient values."""

STATE = "distillation.safetensors"

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's running means of a gradient and of its square, by the optimizer's names."""


@dataclass
class Training:
    """The course of a training.

    Attributes:
        step_tokens: number of tokens in one update.
        divergence: mean Kullback-Leibler divergence per token at each update, in nats.
        salient: share of salient values at each update.
        held_out: divergence on held-out windows, in nats per token, by the number of updates before it.
        seconds: wall time of all updates, including those of earlier runs.
    """

    step_tokens: int
    divergence: list[float] = field(default_factory=list)
    salient: list[float] = field(default_factory=list)
    held_out: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Number of updates."""
        return len(self.divergence)

    @property
    def tokens(self) -> int:
        """Number of tokens in all updates, with repeats."""
        return self.steps * self.step_tokens

    def __str__(self) -> str:
        """One line for a protocol."""
        return f"distilled in {self.steps} updates on {self.tokens} tokens"


class _BrainLinear(nn.Module):
    """A float layer that multiplies in bfloat16."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight.detach().bfloat16()
        self.bias = linear.bias

    def forward(self, values: Tensor) -> Tensor:
        output = nn.functional.linear(values.bfloat16(), self.weight).float()
        return output if self.bias is None else output + self.bias


def make_teacher(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a float model for inference only, with its decoder's matrices in bfloat16."""
    teacher = copy.deepcopy(model).requires_grad_(False)
    for name, linear in decoder_linears(teacher).items():
        replace_layer(teacher, name, _BrainLinear(linear))
    return teacher


def make_student(model: PreTrainedModel) -> None:
    """Replace every quantized layer by a trainable one, in place; layers that share a site share its scale."""
    sites: dict[str, TrainableSite] = {}
    for name, layer in quantized_layers(model).items():
        assert isinstance(layer.site, Site)
        site = sites.setdefault(site_name(name), TrainableSite(layer.site))
        replace_layer(model, name, TrainableLinear(layer, site))


def check_trainable(model: PreTrainedModel, recipe: Recipe) -> None:
    """Check that a model can be trained after a recipe.

    Raises:
        InputError: it cannot.
    """
    activations = recipe.activations
    if activations.scale != "static" or activations.salient_format != "window" or activations.salient_bits == 0:
        raise InputError("recipe: distillation needs static sites with salient windows")
    if activations.salient_rule != "outside":
        raise InputError(
            "recipe: distillation needs activations.salient_rule = 'outside', which has no threshold to learn"
        )
    if recipe.extra_hardware:
        raise InputError(f"recipe: distillation trains what the datapath runs, not {recipe.extra_hardware[0]}")
    low_bits = LOW_BITS if recipe.weights.wide_fraction else 0
    if max(activations.bits, activations.salient_bits, recipe.weights.bits + low_bits) > 8:
        raise InputError("recipe: distillation computes in bfloat16, expected codes and wide weights of at most 8 bits")
    if getattr(model.config, "final_logit_softcapping", None):
        raise InputError(f"model {model.config.model_type}: caps its logits, expected an output head without a cap")


def distill(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    windows: list[Tensor],
    settings: Distillation,
    *,
    held_out: Sequence[Tensor] = (),
    keep: Path,
    digest: str,
) -> Training:
    """Train a student in place, or resume an interrupted run with the same digest.

    Args:
        teacher: from ``make_teacher``.
        student: from ``make_student``.
        windows: int64 [n] token windows, all of one length, at least as many as in one update.
        settings: of the training.
        held_out: int64 [n] windows to measure the divergence on from time to time.
        keep: folder of the training's state, from which it resumes; a finished training ends at once.
        digest: of everything that the training depends on.
    """
    optimizer = _optimizer(student, settings)
    head = _Head(teacher)
    training = Training(settings.batch * windows[0].numel())
    _resume(keep / STATE, student, optimizer, training, digest)
    predictions = _Predictions(teacher, windows)
    sites = [module for module in student.modules() if isinstance(module, TrainableSite)]
    layers = [module for module in student.modules() if isinstance(module, TrainableLinear)]
    batches = _batches(len(windows), settings)
    watch = _watcher(teacher, student, head, held_out)
    interval = max(1, settings.steps // settings.points)
    done = training.steps
    for _ in range(done):
        next(batches)
    kept = time.monotonic()
    for step in track(range(done, settings.steps), "distilling"):
        if held_out and step % interval == 0 and step not in training.held_out:
            training.held_out[step] = watch()
        began = time.monotonic()
        chosen = next(batches)
        rate = learning_rate(step, settings)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * rate
        hidden = student.base_model(torch.stack([windows[i] for i in chosen]), use_cache=False).last_hidden_state
        divergence, gradient = head.divergence(hidden.detach().flatten(0, 1), predictions.hidden(chosen))
        hidden.flatten(0, 1).backward(gradient)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        training.divergence.append(divergence)
        training.salient.append(_after_update(sites, layers, settings))
        training.seconds += time.monotonic() - began
        if held_out and step == settings.steps - 1:
            training.held_out[settings.steps] = watch()
        if time.monotonic() - kept > KEEP_SECONDS or step == settings.steps - 1:
            _keep(keep / STATE, student, optimizer, training, digest)
            kept = time.monotonic()
    return training


def _watcher(
    teacher: PreTrainedModel, student: PreTrainedModel, head: "_Head", windows: Sequence[Tensor]
) -> Callable[[], float]:
    """A function that measures the mean divergence a token on windows."""
    predictions = _Predictions(teacher, list(windows))
    sites = [module for module in student.modules() if isinstance(module, TrainableSite)]

    @torch.no_grad()
    def watch() -> float:
        total = 0.0
        for i, window in enumerate(windows):
            hidden = student.base_model(window[None], use_cache=False).last_hidden_state
            total += head.divergence(hidden.flatten(0, 1), predictions.hidden([i]))[0] * window.numel()
        for site in sites:
            site.salient.take()
            site.forget()
        return total / sum(window.numel() for window in windows)

    return watch


def learning_rate(step: int, settings: Distillation) -> float:
    """Learning rate at an update, as a fraction of the full rate: a linear start, then half a cosine to zero."""
    start = min(1.0, (step + 1) / (settings.warmup + 1))
    return start * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _batches(count: int, settings: Distillation) -> Iterator[list[int]]:
    """Indices of the windows of each update, in a new random order in every epoch."""
    generator = torch.Generator().manual_seed(settings.seed)
    left: list[int] = []
    while True:
        while len(left) < settings.batch:
            left += torch.randperm(count, generator=generator).tolist()
        chosen, left = left[: settings.batch], left[settings.batch :]
        yield chosen


def _optimizer(student: PreTrainedModel, settings: Distillation) -> torch.optim.Adam:
    """Adam for all trained parameters; embeddings and output head stay."""
    sites = {id(module.log_scale) for module in student.modules() if isinstance(module, TrainableSite)}
    latents = {id(module.latent) for module in student.modules() if isinstance(module, TrainableLinear)}
    head = {id(parameter) for parameter in student.get_output_embeddings().parameters()}
    rates: dict[float, list[nn.Parameter]] = {}
    for parameter in student.parameters():
        learns = id(parameter) not in head and (id(parameter) in latents or parameter.ndim < 2)
        parameter.requires_grad_(learns)
        if learns:
            rate = settings.site_rate if id(parameter) in sites else settings.scale_rate
            rates.setdefault(settings.weight_rate if id(parameter) in latents else rate, []).append(parameter)
    groups = [{"params": parameters, "lr": rate, "base": rate} for rate, parameters in rates.items()]
    # gradients are means over a thousand tokens, far below Adam's default epsilon
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-10, fused=True)


def _after_update(sites: list[TrainableSite], layers: list[TrainableLinear], settings: Distillation) -> float:
    """Clamp the weights and bound the salience; returns the share of salient values in the update."""
    for layer in layers:
        layer.confine()
    counts = [site.salient.take() for site in sites]
    salient = sum(part for part, _ in counts) / max(1, sum(whole for _, whole in counts))
    for site in sites:
        site.forget()
        if salient > settings.most_salient:
            site.log_scale.data += SITE_RISE
    return salient


class _Predictions:
    """The teacher's last hidden states, computed once for every window."""

    def __init__(self, teacher: PreTrainedModel, windows: list[Tensor]) -> None:
        self._teacher = teacher
        self._windows = windows
        self._known: dict[int, Tensor] = {}

    @torch.no_grad()
    def hidden(self, chosen: list[int]) -> Tensor:
        """bfloat16 [tokens of all chosen windows, hidden size]."""
        missing = [i for i in chosen if i not in self._known]
        if missing:
            batch = torch.stack([self._windows[i] for i in missing])
            found = self._teacher.base_model(batch, use_cache=False).last_hidden_state.bfloat16()
            self._known.update(zip(missing, found, strict=True))
        return torch.cat([self._known[i] for i in chosen])


class _Head:
    """The output head, shared by teacher and student."""

    def __init__(self, model: PreTrainedModel) -> None:
        head = model.get_output_embeddings()
        self._weight = head.weight.detach().bfloat16()
        self._bias = None if getattr(head, "bias", None) is None else head.bias.detach().float()

    def _predict(self, hidden: Tensor) -> Tensor:
        logits = nn.functional.linear(hidden.bfloat16(), self._weight).float()
        return (logits if self._bias is None else logits + self._bias).log_softmax(-1)

    @torch.no_grad()
    def divergence(self, hidden: Tensor, expected: Tensor) -> tuple[float, Tensor]:
        """Mean divergence from the expected predictions, and its gradient by the hidden states [tokens, size]."""
        total = 0.0
        gradient = torch.empty_like(hidden)
        tokens = hidden.shape[0]
        for rows, wanted, target in zip(
            hidden.split(HEAD_TOKENS), expected.split(HEAD_TOKENS), gradient.split(HEAD_TOKENS), strict=True
        ):
            found, truth = self._predict(rows), self._predict(wanted)
            likely = truth.exp()
            total += float(truth.sub_(found).mul_(likely).sum())
            target.copy_(found.exp_().sub_(likely).bfloat16() @ self._weight)
        return total / tokens, gradient.div_(tokens)


def _learned(student: PreTrainedModel) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in student.named_parameters() if parameter.requires_grad}


def _keep(path: Path, student: PreTrainedModel, optimizer: torch.optim.Adam, training: Training, digest: str) -> None:
    learned = _learned(student)
    tensors = {f"value.{name}": parameter.data for name, parameter in learned.items()}
    for moment in MOMENTS:
        tensors |= {f"{moment}.{name}": optimizer.state[parameter][moment] for name, parameter in learned.items()}
    tensors["divergence"] = torch.tensor(training.divergence, dtype=torch.float64)
    tensors["salient"] = torch.tensor(training.salient, dtype=torch.float64)
    tensors["held_out"] = torch.tensor(list(training.held_out.items()), dtype=torch.float64).view(-1, 2)
    keep_tensors(path, digest, tensors, seconds=str(training.seconds))


def _resume(path: Path, student: PreTrainedModel, optimizer: torch.optim.Adam, training: Training, digest: str) -> None:
    """Restore student, optimizer and training from a stored state; do nothing if there is no usable one."""
    file = find_tensors(path, digest)
    if file is None:
        return
    training.divergence = file.get_tensor("divergence").tolist()
    training.salient = file.get_tensor("salient").tolist()
    training.held_out = {int(step): divergence for step, divergence in file.get_tensor("held_out").tolist()}
    training.seconds = float(file.metadata()["seconds"])
    for name, parameter in _learned(student).items():
        parameter.data.copy_(file.get_tensor(f"value.{name}"))
        moments = {moment: file.get_tensor(f"{moment}.{name}") for moment in MOMENTS}
        optimizer.state[parameter] = {"step": torch.tensor(float(training.steps)), **moments}


def freeze(student: PreTrainedModel) -> None:
    """Replace every trainable layer by its integer form, in place."""
    for name, layer in list(student.named_modules()):
        if isinstance(layer, TrainableLinear):
            replace_layer(student, name, layer.freeze())
    student.requires_grad_(False)
