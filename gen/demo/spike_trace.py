"""Data of the report's plots: spikes and membranes of one token, and levels of all tokens.

The spikes are in the order in which the accelerator fires them for each tile of outputs: by tile of the inputs, salient
before normal levels, from the ramp's top down, with bursts for levels above it.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.integer import Integers
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import UNREADABLE, LayerVectors, save_arrays
from spikequant.golden.support.errors import InputError

TRACE = "trace.npz"
"""Name of the file in a demo's folder."""

TRACED_NEURONS = 5


@dataclass(frozen=True)
class SpikeTrace:
    """Trace of a token with S spikes in P phases of ``ticks`` in total, and of M of its neurons.

    Attributes:
        phase_salient: bool [P], whether the phase fires salient codes.
        phase_low: bool [P], whether it adds the low halves of the wide columns.
        phase_ticks: int64 [P], length of each phase, at most the top of the ramp.
        phase_shift: int64 [P], shift of the phase's charge in the membrane.
        spike_phase: int64 [S], phase of each spike, in order of time and then of inputs.
        spike_tick: int64 [S], tick in the phase; the spike adds its weight in every remaining tick of the phase.
        spike_row: int64 [S], input that fires; several times in a burst.
        spike_sign: int64 [S], 1 or -1.
        neuron: int64 [M], indices of the neurons.
        membrane: int64 [ticks, M], V after each tick, including the charge so far with its phase's shift.
        final: int64 [M], V' with the bias.
        theta: int64 [M], threshold scale with F fractional bits.
        code: int64 [M], output code.
        normal_level: int64 [A], normal levels that occur in any token, in ascending order.
        normal_count: int64 [A], number of occurrences.
        salient_code: int64 [B], salient codes n / 2**m that occur in any token, in ascending order.
        salient_count: int64 [B], number of occurrences.
    """

    phase_salient: NDArray[np.bool_]
    phase_low: NDArray[np.bool_]
    phase_ticks: Integers
    phase_shift: Integers
    spike_phase: Integers
    spike_tick: Integers
    spike_row: Integers
    spike_sign: Integers
    neuron: Integers
    membrane: Integers
    final: Integers
    theta: Integers
    code: Integers
    normal_level: Integers
    normal_count: Integers
    salient_code: Integers
    salient_count: Integers


def spread_neurons(code: NDArray[np.int32], *, count: int, largest: int) -> list[int]:
    """Choose neurons with codes from the smallest to the largest, evenly by rank, clipped ones only if necessary.

    Args:
        code: int32 [N], output codes.
        count: number of neurons; all if there are fewer.
        largest: magnitude of a clipped code.
    """
    order = np.argsort(code, kind="stable")
    free = order[np.abs(code[order]) < largest]
    ranked = free if free.size >= count else order
    places = np.linspace(0, ranked.size - 1, min(count, ranked.size)).round().astype(np.int64)
    return [int(neuron) for neuron in ranked[places]]


def trace_token(vectors: LayerVectors, token: int, spec: Spec, *, code: NDArray[np.int32]) -> SpikeTrace:
    """Run one token spike by spike, and record the data of the plots.

    Args:
        vectors: the layer.
        token: index of the token.
        spec: of the accelerator.
        code: int32 [N], the token's output codes.
    """
    neurons = spread_neurons(code, count=TRACED_NEURONS, largest=spec.max_output_code)
    run = simulate(vectors, token, spec, neurons=neurons)
    salient_code = vectors.level >> vectors.shift[:, None]
    normal_level, normal_count = np.unique(vectors.level[~vectors.salient], return_counts=True)
    codes, counts = np.unique(salient_code[vectors.salient], return_counts=True)

    def joined(parts: list[Integers]) -> Integers:
        return np.concatenate([np.zeros(0, np.int64), *parts])

    phases = run.program
    return SpikeTrace(
        phase_salient=np.array([phase.salient for phase in phases], np.bool_),
        phase_low=np.array([phase.low for phase in phases], np.bool_),
        phase_ticks=np.array([phase.ticks for phase in phases], np.int64),
        phase_shift=np.array([phase.shift for phase in phases], np.int64),
        spike_phase=joined([np.full(phase.row.size, index, np.int64) for index, phase in enumerate(phases)]),
        spike_tick=joined([phase.tick for phase in phases]),
        spike_row=joined([phase.row for phase in phases]),
        spike_sign=joined([phase.sign for phase in phases]),
        neuron=run.trace.neuron,
        membrane=run.trace.membrane,
        final=run.membrane[neurons],
        theta=vectors.theta[neurons].astype(np.int64),
        code=code[neurons].astype(np.int64),
        normal_level=normal_level.astype(np.int64),
        normal_count=normal_count.astype(np.int64),
        salient_code=codes.astype(np.int64),
        salient_count=counts.astype(np.int64),
    )


def save_trace(folder: Path, trace: SpikeTrace) -> None:
    """Write a trace, whole or not at all."""
    save_arrays(folder / TRACE, {item.name: getattr(trace, item.name) for item in fields(trace)})


def load_trace(folder: Path) -> SpikeTrace:
    """Read the trace of a demo.

    Raises:
        InputError: there is none, or its arrays do not fit together.
    """
    path = folder / TRACE
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    except OSError as error:
        raise InputError(f"trace {path}: cannot read the file: {error.strerror or error}") from None
    except UNREADABLE as error:
        raise InputError(f"trace {path}: not an .npz file of plain arrays: {error}") from None
    for item in fields(SpikeTrace):
        wanted = "b" if item.name in ("phase_salient", "phase_low") else "i"
        if item.name not in arrays or arrays[item.name].dtype.kind != wanted:
            raise InputError(f"trace {path}: array {item.name!r} is missing or of the wrong type")
    trace = SpikeTrace(**{item.name: arrays[item.name] for item in fields(SpikeTrace)})
    _check_shapes(trace, path)
    return trace


def _check_shapes(trace: SpikeTrace, path: Path) -> None:
    phases, spikes, neurons = trace.phase_ticks.shape, trace.spike_tick.shape, trace.neuron.shape
    expected = {
        **dict.fromkeys(("phase_salient", "phase_low", "phase_ticks", "phase_shift"), phases),
        **dict.fromkeys(("spike_phase", "spike_tick", "spike_row", "spike_sign"), spikes),
        **dict.fromkeys(("neuron", "final", "theta", "code"), neurons),
        "membrane": (int(trace.phase_ticks.sum()), *neurons),
        "normal_count": trace.normal_level.shape,
        "salient_count": trace.salient_code.shape,
    }
    for name, shape in expected.items():
        array = getattr(trace, name)
        if array.shape != shape or (array.ndim != 1 and name != "membrane"):
            raise InputError(f"trace {path}: {name} has shape {list(array.shape)}, expected {list(shape)}")
    if spikes[0] and not 0 <= trace.spike_phase.min() <= trace.spike_phase.max() < len(trace.phase_ticks):
        raise InputError(f"trace {path}: spike_phase has an index outside of the phases")
