"""The settings of one accelerator: the keys of a spec that a user chooses."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """All keys of a spec, each within its own range, immutable; ``Spec`` checks that they fit each other."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    neurons: int = Field(
        default=64, ge=8, le=4096, description="neurons in parallel (N), a multiple of the weights in a word"
    )
    lanes: int = Field(default=4, ge=1, le=16, description="spikes per neuron and cycle (L), a power of two")
    clusters: int = Field(
        default=1, ge=1, le=64, description="equal parts of the neurons, each with its own membranes and read-out"
    )
    depth: int = Field(default=2044, ge=2, le=65536, description="inputs whose weights the synapse memory holds")
    weight_bits: Literal[2, 4, 8] = Field(default=4, description="bits of a stored weight")
    activation_bits: int = Field(default=4, ge=2, le=7, description="bits of a normal activation code")
    salient_bits: int = Field(
        default=5, ge=0, le=7, description="bits of a salient activation code; 0 omits the salient phase"
    )
    max_salient_shift: int = Field(default=11, ge=0, le=15, description="largest power of two on salient codes (m)")
    population_bits: int = Field(
        default=12, ge=6, le=24, description="bits of the largest sum of levels in one phase that the charge can hold"
    )
    membrane_bits: int = Field(default=32, ge=8, le=39, description="width of the membrane, signed, saturating")
    membrane_slots: int = Field(default=8, ge=1, le=256, description="tokens whose membranes are kept between tiles")
    theta_fraction_bits: int = Field(default=12, ge=0, le=24, description="fractional bits of the threshold (F)")
    output_bits: int = Field(default=8, ge=2, le=16, description="bits of an output code, signed (B)")
    ramp: Literal[4, 8, 16] = Field(
        default=8, description="highest level of a spike; a larger activation fires a burst of these and its rest"
    )
    score_words: int = Field(default=1024, ge=16, le=8192, description="beats kept in each of the two score buffers")
    readout: Literal["halving", "ramp"] = Field(
        default="halving",
        description="wide codes by successive halving, or the first-spike ramp (at most 5 output bits)",
    )
    weight_parity: bool = Field(
        default=False, description="store a parity bit with each row of weights, and check it in each row read"
    )
