"""Output steps: one scale times powers of two, with the least error of the rounded outputs."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.quantizer.output_steps import FINER, MANTISSAS, MAX_EXPONENT, OutputPeaks, fit_output_steps


def error(outputs: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    codes = (outputs / steps).round().clamp(-127, 127)
    return (codes * steps - outputs).square().mean(0)


@given(st.integers(0, 2**31), st.floats(-6, 6), st.floats(0, 4))
def test_steps_are_powers_of_two_apart_and_best_among_their_neighbours(seed: int, size: float, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(64, 7, generator=generator) * 10 ** (size + spread * torch.rand(7, generator=generator))
    found = fit_output_steps(outputs)
    steps = found.values().float()
    assert int(found.exponents.min()) == 0
    assert found.exponents.dtype == torch.uint8
    # a finer step of the same ladder is no better, and neither is a coarser one
    least = error(outputs, steps)
    assert (least <= error(outputs, steps * 2) * (1 + 1e-5)).all()
    finest = (outputs.abs().amax(0) / 127 / steps) >= 2 ** (FINER - 1)
    free = (found.exponents > 0) & (found.exponents < MAX_EXPONENT) & ~finest
    assert (least <= error(outputs, steps / 2) * (1 + 1e-5))[free].all()


def test_free_steps_gain_little() -> None:
    outputs = torch.randn(512, 32, generator=torch.Generator().manual_seed(1)) * torch.logspace(-1, 1, 32)
    fitted = error(outputs, fit_output_steps(outputs).values().float())
    peaks = outputs.abs().amax(0) / 127
    free = torch.stack([error(outputs, peaks * factor) for factor in torch.linspace(0.5, 1.0, 26)]).amin(0)
    assert float((fitted / free).mean()) < 2.0


def test_rare_peaks_are_clipped() -> None:
    outputs = torch.randn(4096, 4, generator=torch.Generator().manual_seed(2))
    outputs[7] = 6.0
    steps = fit_output_steps(outputs).values()
    assert (steps * 127 < outputs.abs().amax(0)).all()


def test_peaks_of_more_text_keep_steps_from_clipping_what_the_sample_misses() -> None:
    outputs = torch.randn(512, 2, generator=torch.Generator().manual_seed(2))
    rare = OutputPeaks(torch.full((8, 2), 4.0), 8 * 512)
    rare.values[3, 1] = 40.0
    ranges = fit_output_steps(outputs, peaks=rare).values() * 127
    assert ranges[0] < 8
    assert ranges[1] > 20
    # a value as rare as this one is worth nothing
    once = fit_output_steps(outputs, peaks=OutputPeaks(rare.values, 10**9)).values() * 127
    assert once[1] < 8


def test_the_scale_follows_the_weighted_outputs() -> None:
    outputs = torch.randn(256, 2, generator=torch.Generator().manual_seed(3)) * torch.tensor([1.0, 1.3])
    errors = []
    for weights in (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])):
        errors.append(error(outputs, fit_output_steps(outputs, weights).values().float()))
    assert errors[0][0] < errors[1][0] or errors[1][1] < errors[0][1]
    assert MANTISSAS > 1


def test_a_binary_scale_is_a_power_of_two_and_costs_little() -> None:
    outputs = torch.randn(512, 16, generator=torch.Generator().manual_seed(4)) * torch.logspace(-2, 2, 16)
    found = fit_output_steps(outputs, binary=True)
    assert math.frexp(found.scale)[0] == 0.5
    ratio = error(outputs, found.values().float()) / error(outputs, fit_output_steps(outputs).values().float())
    assert float(ratio.mean()) < 2.0


def test_silent_outputs_and_layers() -> None:
    outputs = torch.zeros(8, 3)
    assert fit_output_steps(outputs).values().isfinite().all()
    outputs[:, 1] = torch.linspace(-2, 2, 8)
    found = fit_output_steps(outputs)
    assert (found.values() > 0).all()
    # the range of exponents is limited
    outputs[:, 2] = 1e-9 * outputs[:, 1]
    assert int(fit_output_steps(outputs).exponents.max()) <= MAX_EXPONENT
