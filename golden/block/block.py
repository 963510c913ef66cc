"""Decoder blocks whose residual stream, norms and gates are integers.

Parts of a block exchange float32 tensors, as in the float model, that hold these integers exactly: the stream in its
own units, and inputs of layers as ratios, values in steps of their site. Attention itself, from queries, keys and
values to the mixed values, computes in floats, and its output projection encodes floats.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from spikequant.golden.block.gate import gate_constants, gate_times_up
from spikequant.golden.block.norm import NormConstants, norm_constants, normalize
from spikequant.golden.block.ratio_encoder import RatioEncoder, check_site
from spikequant.golden.block.residual import (
    Addition,
    Bound,
    add,
    enter,
    entry_bound,
    leave,
    plan_addition,
    power_of_two,
)
from spikequant.golden.block.results import Results, layer_results
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.models.model import decoder_blocks, replace_layer
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.support.errors import InputError

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
"""Model types with these blocks: norm, attention, sum, norm, ``silu(gate) * up``, down, sum."""

SITES = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp": ("mlp.down_proj",),
}
"""Layers whose inputs are ratios, by the unit that makes them."""

NORMS = ("input_layernorm", "post_attention_layernorm")
"""Norms of the residual stream, in order."""

WRITERS = ("self_attn.o_proj", "mlp.down_proj")
"""Layers that write to the residual stream, each after the layers that the norm feeds."""


@dataclass(frozen=True)
class _Writer:
    """A layer that writes to the residual stream."""

    results: Results
    addition: Addition


class IntegerBlock(nn.Module):
    """Decoder block in integers, in place of a float one with quantized layers.

    Args:
        parts: of the float block; its attention and its layers become parts of this block.
        stream: bound of the residual stream before the block.
        widths: of the units.

    Attributes:
        bound: of the residual stream after the block.
        saturated: number of values that saturated so far, by unit: ``embedding``, ``norm`` or ``gate``.

    Raises:
        InputError: a layer is not quantized or reads membranes, its site is not static, or it writes to the residual
            stream and its scale is no power of two.
    """

    def __init__(self, parts: "_Parts", stream: Bound, widths: BlockWidths) -> None:
        super().__init__()
        self._widths = widths
        self._fraction = stream.fraction
        self._norms = {}
        self._writers = {}
        for norm, writer in zip(NORMS, WRITERS, strict=True):
            self._norms[norm] = parts.norm(norm, stream.fraction, widths)
            self._writers[writer], stream = parts.writer(writer, stream, widths.residual_bits)
        self.bound = stream
        self._gate_results, self._up_results = parts.results("mlp.gate_proj"), parts.results("mlp.up_proj")
        self._gate = gate_constants(self._gate_results, self._up_results, parts.step("mlp"), widths)
        for readers in SITES.values():
            for part in readers:
                parts.layer(part).encoder = RatioEncoder(widths.ratio_fraction)
        self.self_attn = parts.block.get_submodule("self_attn")
        self.mlp = parts.block.get_submodule("mlp")
        self.saturated = dict.fromkeys(("embedding", "norm", "gate"), 0)

    def forward(self, hidden_states: Tensor, **named: Any) -> Tensor:
        """The residual stream after the block, float32 [..., K]; arguments as for the float block."""
        entered = enter(hidden_states, bits=self._widths.residual_bits, fraction=self._fraction)
        stream = self._counted("embedding", entered)
        mixed, *_ = self.self_attn(hidden_states=self._normalized("input_layernorm", stream), **named)
        stream = self._added("self_attn.o_proj", stream, mixed)
        gated = self._gated(self._normalized("post_attention_layernorm", stream))
        stream = self._added("mlp.down_proj", stream, self.mlp.get_submodule("down_proj")(gated))
        return leave(stream, self.bound.fraction)

    def _normalized(self, norm: str, stream: Tensor) -> Tensor:
        ratios = self._counted("norm", normalize(stream, self._norms[norm], self._widths))
        return leave(ratios, self._widths.ratio_fraction)

    def _gated(self, ratios: Tensor) -> Tensor:
        gate = self._gate_results.codes(self.mlp.get_submodule("gate_proj")(ratios))
        up = self._up_results.codes(self.mlp.get_submodule("up_proj")(ratios))
        found = self._counted("gate", gate_times_up(gate, up, self._gate, self._widths))
        return leave(found, self._widths.ratio_fraction)

    def _added(self, part: str, stream: Tensor, values: Tensor) -> Tensor:
        writer = self._writers[part]
        return add(stream, writer.results.integers(values), writer.addition)

    def _counted(self, unit: str, found: tuple[Tensor, Tensor]) -> Tensor:
        values, flags = found
        self.saturated[unit] += int(flags.count_nonzero())
        return values


class _Parts:
    """The layers of a float block, checked."""

    def __init__(self, name: str, block: nn.Module) -> None:
        self.name = name
        self.block = block

    def layer(self, part: str) -> SpikeQuantLinear:
        """A quantized layer."""
        layer = self.block.get_submodule(part)
        if not isinstance(layer, SpikeQuantLinear):
            raise InputError(f"integer block: {self.name}.{part} is not quantized, expected a SpikeQuant layer")
        return layer

    def step(self, unit: str) -> float:
        """Value of one level at the site that a unit feeds."""
        return check_site(self.layer(SITES[unit][0]).site).scale

    def results(self, part: str) -> Results:
        """Format of a layer's results."""
        found = layer_results(self.layer(part))
        if found is None:
            raise InputError(f"integer block: {self.name}.{part} reads membranes, expected output codes")
        return found

    def norm(self, part: str, fraction: int, widths: BlockWidths) -> NormConstants:
        """Constants of a norm of the residual stream of so many fractional bits."""
        norm: Any = self.block.get_submodule(part)
        return norm_constants(norm.weight.detach(), norm.variance_epsilon, self.step(part), fraction, widths)

    def writer(self, part: str, stream: Bound, bits: int) -> tuple[_Writer, Bound]:
        """A layer that writes to the residual stream, and the stream's bound after it."""
        results = self.results(part)
        power = power_of_two(results.unit)
        if power is None:
            raise InputError(
                f"integer block: {self.name}.{part} has a scale of {results.unit:.6g}, expected a power of two"
            )
        addition, bound = plan_addition(stream, results, power, bits)
        return _Writer(results, addition), bound


def use_integer_blocks(model: PreTrainedModel, widths: BlockWidths) -> None:
    """Replace every block of a quantized model by an integer one, in place; names of layers stay.

    Args:
        model: read from output codes, with all layers of its decoder quantized.
        widths: of the units.

    Raises:
        InputError: the model has other blocks, or as for ``IntegerBlock``.
    """
    config = model.config.get_text_config(decoder=True)
    if config.model_type not in MODEL_TYPES or config.hidden_act != "silu":
        raise InputError(
            f"integer block: model type {config.model_type} with {getattr(config, 'hidden_act', 'no gate')}, "
            f"expected one of {', '.join(MODEL_TYPES)} with silu"
        )
    embeddings: Any = model.get_input_embeddings()
    stream = entry_bound(embeddings.weight.detach().abs().amax(0), widths.residual_bits)
    for name, block in decoder_blocks(model).items():
        integer = IntegerBlock(_Parts(name, block), stream, widths)
        replace_layer(model, name, integer)
        stream = integer.bound


def saturated_values(model: nn.Module) -> dict[str, int]:
    """Values that saturated in a model's integer blocks so far, by unit; empty without such blocks."""
    total: dict[str, int] = {}
    for block in model.modules():
        if isinstance(block, IntegerBlock):
            for unit, count in block.saturated.items():
                total[unit] = total.get(unit, 0) + count
    return total
