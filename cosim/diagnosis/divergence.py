"""First divergence of hardware and golden model: stage, tick, expected and actual value."""

from dataclasses import dataclass, replace

from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors

DRIVER, ENCODER, SUMS, INTEGRATOR, NEURON, READOUT = (
    "driver",
    "encoder",
    "weights and tree of sums",
    "integrator",
    "neuron",
    "read-out",
)
"""Stages in order of the data flow: packets, spikes, currents, charges, membranes, codes."""


@dataclass(frozen=True)
class Divergence:
    """The earliest quantity that differs from the golden model.

    Attributes:
        stage: stage that produces the quantity.
        token, neuron: indices in the layer.
        tick: tick of the token, counted from 0 over all of its phases; None if the divergence has no tick.
        where: tile and phase, or packet.
        quantity: the quantity that differs.
        expected, got: its values.
        cycle: clock cycle of the replay; None if the divergence has none.
    """

    stage: str
    token: int
    neuron: int
    tick: int | None
    where: str
    quantity: str
    expected: str
    got: str
    cycle: int | None = None


def first_output(vectors: LayerVectors, token: int, neuron: int, spec: Spec) -> LayerVectors:
    """Reduce a layer to one token and the output tile of one neuron."""
    first = neuron // spec.neurons * spec.neurons
    outputs = slice(first, first + spec.neurons)
    return replace(
        vectors.of_tokens(slice(token, token + 1)),
        **{name: getattr(vectors, name)[outputs] for name in ("w_code", "w_zero", "theta", "bias", "w_low")},
    )
