from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from golden.energy.activity import EventCounts, count_events, count_gif, measure_activity, salient_channels
from golden.errors import InputError
from golden.evaluate import quantized_layers, score
from golden.model import LanguageModel
from golden.neuron import simulate
from golden.samples import random_vectors
from golden.spec import PRESETS
from golden.vectors import LayerVectors

SPEC = PRESETS["tiny"]


def counted(vectors: LayerVectors, *, depth: int = 1024) -> EventCounts:
    return count_events(
        torch.from_numpy(vectors.level).float(),
        torch.from_numpy(vectors.salient),
        torch.from_numpy(vectors.shift.astype(np.int32)),
        wide=torch.from_numpy(vectors.wide),
        depth=depth,
    )


class AddingArray(np.ndarray):
    """An array that counts the elements of every addition and subtraction in place, also of what came from it."""

    additions = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):  # type: ignore[no-untyped-def]
        plain = [item.view(np.ndarray) if isinstance(item, AddingArray) else item for item in inputs]
        if out is None:
            result = getattr(ufunc, method)(*plain, **options)
            return result.view(AddingArray) if isinstance(result, np.ndarray) else result
        if ufunc in (np.add, np.subtract):
            AddingArray.additions += out[0].size
        return getattr(ufunc, method)(*plain, out=out[0].view(np.ndarray), **options).view(AddingArray)


def adding(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array.view(AddingArray)


def random_layer(seed: int, wide: int) -> LayerVectors:
    return random_vectors(SPEC, outputs=9, inputs=30, tokens=8, wide=wide, salient_fraction=0.1, seed=seed)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), wide=st.sampled_from([0, 1, 4, 30]))
def test_counts_are_those_of_the_time_domain(seed: int, wide: int) -> None:
    vectors = random_layer(seed, wide)
    events = counted(vectors)
    runs = [simulate(vectors, token, SPEC) for token in range(vectors.tokens)]
    phases = [phase for run in runs for phase in run.program]
    assert events.spikes + events.low_spikes == sum(run.spikes for run in runs)
    assert events.spikes == sum(phase.row.size for phase in phases if not phase.low)
    assert events.ticks == sum(run.ticks for run in runs)
    # the hardware's normal phase ends also where nothing fires in it
    salient_phases = sum(phase.salient for phase in phases)
    assert events.phases == salient_phases + vectors.tokens * (2 if wide else 1)
    levels = sum(int((phase.ticks - phase.tick).sum()) for phase in phases if not phase.low)
    assert events.normal_levels + events.salient_codes == levels


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), wide=st.sampled_from([0, 4]))
def test_additions_are_those_that_the_time_domain_makes(seed: int, wide: int) -> None:
    vectors = random_layer(seed, wide)
    events = counted(vectors)
    watched = replace(vectors, w_code=adding(vectors.w_code), w_low=adding(vectors.w_low))
    AddingArray.additions = 0
    membranes = [simulate(watched, token, SPEC).membrane for token in range(vectors.tokens)]
    assert (np.array(membranes) == [simulate(vectors, token, SPEC).membrane for token in range(vectors.tokens)]).all()
    # a tick adds the current to the membrane, and once more to the charge, which is only there to be traced;
    # zero point and bias follow once a token, except where no spike ever made the membrane a watched array
    fired = int((vectors.level != 0).any(1).sum())
    assert AddingArray.additions == vectors.outputs * (events.spikes + events.low_spikes + 2 * events.ticks + 2 * fired)


def test_a_layer_by_hand() -> None:
    events = count_events(
        torch.tensor([[3.0, 0.0, -2.0, -24.0], [0.0, 1.0, 0.0, 0.0]]),
        torch.tensor([[False, False, False, True], [True, False, False, False]]),
        torch.tensor([3, 0]),
        wide=torch.tensor([2, 3]),
        depth=4,
    )
    assert events == EventCounts(
        spikes=3 + 1,
        normal_levels=3 + 2 + 1,
        salient_codes=3,
        low_spikes=2,
        low_normal_levels=2,
        low_salient_codes=3,
        salient=2,
        silent=1 + 3,
        # token 0: salient 3 and normal 3, low halves salient 3 and normal 2; token 1: normal 1
        ticks=3 + 3 + 3 + 2 + 1,
        # the salient code 0 of token 1 fires nothing, so its salient phases are left out
        phases=2 + 2 + 1 + 1,
    )


def test_every_tile_of_inputs_has_its_own_ramp() -> None:
    level = torch.tensor([[4.0, 1.0, -5.0, 0.0, 0.0, 0.0]])
    nothing = torch.zeros_like(level, dtype=torch.bool)

    def events(depth: int) -> EventCounts:
        return count_events(level, nothing, torch.zeros(1), wide=torch.arange(0), depth=depth)

    assert (events(6).ticks, events(6).phases, events(6).spikes) == (5, 1, 3)
    assert (events(2).ticks, events(2).phases, events(2).spikes) == (4 + 5, 3, 3)


def test_gif_codes_by_hand() -> None:
    # a range of -5..10: scale 1 and zero point 5, or 15/31 and 10 where salient
    values = torch.tensor([[10.0, -5.0, 0.0, 1.2, 0.0]])
    counts = count_gif(values, torch.tensor([False, False, False, False, True]))
    codes = [15, 0, 5, 6, 10]
    assert counts.active == 4
    assert counts.binary == sum(codes)
    assert counts.signed_active == 3
    assert counts.signed == 10 + 5 + 0 + 1 + 0
    assert counts.bits == sum(code.bit_count() for code in codes)


def test_a_salient_channel_has_a_finer_code() -> None:
    values = torch.tensor([[31.0, 0.0], [10.0, 0.0]])
    assert count_gif(values, torch.tensor([True, False])).binary == 31 + 31
    assert count_gif(values, torch.tensor([False, False])).binary == 15 + 15
    assert count_gif(torch.zeros(3, 2), torch.tensor([True, False])).binary == 0


def test_a_tenth_of_the_channels_is_salient() -> None:
    values = torch.ones(4, 20)
    values[:, [3, 17]] = -7.0
    assert salient_channels(values).nonzero().flatten().tolist() == [3, 17]


def test_a_model_that_reads_text(quantized_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    layers = measure_activity(quantized_model, windows, depth=1024)
    modules = quantized_layers(quantized_model.model)
    tokens = sum(window.numel() for window in windows)
    assert [layer.name for layer in layers] == list(modules)
    for layer in layers:
        module = modules[layer.name]
        assert not module._forward_pre_hooks
        assert (layer.outputs, layer.inputs) == tuple(module.codes.shape)
        assert layer.wide == module.wide.numel()
        assert layer.tokens == tokens
        assert layer.events.spikes + layer.events.silent == pytest.approx(layer.inputs)
        assert layer.gif.active <= layer.inputs
        assert layer.gif.bits <= layer.gif.binary
    tallied = score(quantized_model.model, windows)
    sites = [layer for layer in layers if layer.name.endswith(("q_proj", "o_proj", "up_proj", "down_proj"))]
    inputs = sum(layer.inputs for layer in sites)
    assert sum(layer.events.silent for layer in sites) / inputs == pytest.approx(tallied.silent_ratio)
    assert sum(layer.events.salient for layer in sites) / inputs == pytest.approx(tallied.salient_ratio)


def test_a_layer_fires_as_its_integers_for_the_hardware_say(
    quantized_model: LanguageModel, windows: list[torch.Tensor]
) -> None:
    name, layer = list(quantized_layers(quantized_model.model).items())[-1]
    caught: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0][0]))
    with torch.no_grad():
        measured = measure_activity(quantized_model, windows, depth=8)[-1]
    handle.remove()
    vectors = layer.vectors(torch.cat(caught), SPEC)
    summed = counted(vectors, depth=8)
    assert measured.name == name
    for count in fields(EventCounts):
        assert getattr(measured.events, count.name) == pytest.approx(getattr(summed, count.name) / vectors.tokens)
    assert measured.events.low_spikes > 0


def test_a_float_model_has_no_spikes(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    with pytest.raises(InputError, match="model tiny: no quantized layers, expected a folder that quantize wrote"):
        measure_activity(float_model, windows, depth=8)
