"""Where hardware and golden part: which stage, in which tick, with what was expected and what came."""

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
"""The stages in the order of time: what the host sends, spikes, currents, charges, membranes, codes."""


@dataclass(frozen=True)
class Divergence:
    """The first place in time where a quantity is not what the golden model has.

    Attributes:
        stage: one of the stages.
        token, neuron: of the layer.
        tick: of the token, counted over all of its phases from 0; None where no tick has to do with it.
        where: which tile and phase, or which packet.
        quantity: what differs.
        expected, got: its values.
        cycle: clock cycle of the replay in which it was seen; None where none has to do with it.
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
    """The layer with nothing but one token, and the tile of outputs that the neuron is in."""
    first = neuron // spec.neurons * spec.neurons
    outputs = slice(first, first + spec.neurons)
    return replace(
        vectors.of_tokens(slice(token, token + 1)),
        **{name: getattr(vectors, name)[outputs] for name in ("w_code", "w_zero", "theta", "bias", "w_low")},
    )
