from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikequant.golden.energy.activity import EventCounts, count_events, count_gif, measure_activity, salient_channels
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.support.errors import InputError

SPEC = PRESETS["tiny"]


def deep(depth: int) -> Spec:
    return SPEC.model_copy(update={"depth": depth})


def counted(vectors: LayerVectors, spec: Spec = SPEC) -> EventCounts:
    return count_events(
        torch.from_numpy(vectors.level).float(),
        torch.from_numpy(vectors.salient),
        torch.from_numpy(vectors.shift.astype(np.int32)),
        wide=torch.from_numpy(vectors.wide),
        spec=spec,
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
    assert events.active == sum(np.unique(phase.row).size for phase in phases if not phase.low)
    assert events.low_active == sum(np.unique(phase.row).size for phase in phases if phase.low)
    assert events.ticks == sum(run.ticks for run in runs)
    # the hardware's normal phase ends also where nothing fires in it
    alone = sum(phase.salient and not phase.merged for phase in phases)
    assert events.phases == alone + vectors.tokens * (2 if wide else 1)
    levels = sum(int((phase.ticks - phase.tick).sum()) for phase in phases if not phase.low)
    assert events.normal_levels + events.salient_codes == levels


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), wide=st.sampled_from([0, 4]))
def test_additions_are_those_that_the_time_domain_makes(seed: int, wide: int) -> None:
    vectors = random_layer(seed, wide)
    events = counted(vectors)
    watched = replace(vectors, w_code=adding(vectors.w_code), w_low=adding(vectors.w_low))
    AddingArray.additions = 0
    runs = [simulate(watched, token, SPEC) for token in range(vectors.tokens)]
    counted_additions = AddingArray.additions
    plain = [simulate(vectors, token, SPEC) for token in range(vectors.tokens)]
    assert [run.membrane.tolist() for run in runs] == [run.membrane.tolist() for run in plain]
    # each phase adds the zero point's terms and itself to the membrane, and a token its bias, except where no spike
    # ever made the membrane a watched array
    phases = sum(len(run.program) for run in plain)
    fired = int((vectors.level != 0).any(1).sum())
    expected = events.spikes + events.low_spikes + events.ticks + phases * (SPEC.weight_bits + 2) + fired
    assert counted_additions == vectors.outputs * expected


def test_a_layer_by_hand() -> None:
    events = count_events(
        torch.tensor([[3.0, 0.0, -2.0, -24.0 * 8, 72.0], [0.0, 11.0, 0.0, 0.0, 16.0]]),
        torch.tensor([[False, False, False, True, True], [True, False, False, False, True]]),
        torch.tensor([3, 0]),
        wide=torch.tensor([2, 3]),
        spec=SPEC,
    )
    assert events == EventCounts(
        active=4 + 2,
        # 24 is three spikes at the ramp's top of 8, 9 one and a rest, 11 too, and 16 two
        spikes=(1 + 1 + 3 + 2) + (2 + 2),
        normal_levels=3 + 2 + 11,
        salient_codes=24 + 9 + 16,
        low_active=2,
        low_spikes=1 + 3,
        low_normal_levels=2,
        low_salient_codes=24,
        salient=2 + 2,
        silent=1 + 3,
        # token 0: salient 24 and normal 3, low halves salient 24 and normal 2; token 1: all of them normal
        ticks=8 + 3 + 8 + 2 + 8,
        # two doublings at once are a copy and three ticks, a single one a copy and a tick; in whole and in low halves
        doublings=2 * (4 + 2),
        # salient charges that are doubled in place end no phase
        phases=1 + 1 + 1 + 1,
    )


def test_salient_charges_without_room_are_phases_of_their_own() -> None:
    shift = 12
    level = torch.tensor([[1.0 * 2**shift, 1.0]])
    salient = torch.tensor([[True, False]])

    def events(shift: int) -> EventCounts:
        return count_events(
            level, salient, torch.tensor([shift]), wide=torch.arange(0), spec=SPEC.model_copy(update={"ramp": 16})
        )

    # too many by one, which is the other level's
    assert SPEC.max_population == 2**shift - 1
    assert (events(shift).phases, events(shift).doublings) == (2, 0)
    level = torch.tensor([[4.0, 1.0]])
    assert (events(2).phases, events(2).doublings) == (1, 4)


def test_every_tile_of_inputs_has_its_own_ramp() -> None:
    level = torch.tensor([[4.0, 1.0, -5.0, 0.0, 0.0, 0.0]])
    nothing = torch.zeros_like(level, dtype=torch.bool)

    def events(depth: int) -> EventCounts:
        return count_events(level, nothing, torch.zeros(1), wide=torch.arange(0), spec=deep(depth))

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
    layers = measure_activity(quantized_model, windows, spec=deep(1024))
    modules = quantized_layers(quantized_model.model)
    tokens = sum(window.numel() for window in windows)
    assert [layer.name for layer in layers] == list(modules)
    for layer in layers:
        module = modules[layer.name]
        assert not module._forward_pre_hooks
        assert (layer.outputs, layer.inputs) == tuple(module.codes.shape)
        assert layer.wide == module.wide.numel()
        assert layer.tokens == tokens
        assert layer.events.active + layer.events.silent == pytest.approx(layer.inputs)
        assert layer.gif.active <= layer.inputs
        assert layer.gif.bits <= layer.gif.binary
    tallied = measure_accuracy(quantized_model.model, windows)
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
        measured = measure_activity(quantized_model, windows, spec=deep(8))[-1]
    handle.remove()
    vectors = layer.vectors(torch.cat(caught), SPEC)
    summed = counted(vectors, deep(8))
    assert measured.name == name
    a_token = {name: count / vectors.tokens for name, count in summed.model_dump().items()}
    assert measured.events.model_dump() == pytest.approx(a_token)
    assert measured.events.low_spikes > 0


def test_a_float_model_has_no_spikes(float_model: LanguageModel, windows: list[torch.Tensor]) -> None:
    with pytest.raises(InputError, match="model tiny: no quantized layers, expected a folder that quantize wrote"):
        measure_activity(float_model, windows, spec=SPEC)
