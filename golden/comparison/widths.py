"""Mean bits of a weight and of an activation in a model.

What a method stores is wider than its codes: scales, zero points, and marks of wider values count as well. A scale
counts 16 bits, the usual half float; for SpikeQuant a threshold takes its place.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedModel

from spikequant.golden.baselines.atom import GROUP, WIDE_BITS, WIDE_SHARE
from spikequant.golden.baselines.spikellm import NORMAL_SHARE
from spikequant.golden.layer.spec import THETA_BITS
from spikequant.golden.models.model import decoder_linears, site_name
from spikequant.golden.quantizer.fake_quant import FakeQuantLinear
from spikequant.golden.quantizer.linear import SpikeQuantLinear
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.quantizer.site import TokenSite
from spikequant.golden.quantizer.weights import LOW_BITS
from spikequant.golden.support.figures import Figures

FLOAT_BITS = 32.0
SCALE_BITS = 16
INDEX_BITS = 16
"""Index of a wide column."""

MARK_BITS = 1
"""Mark of an activation as salient or not, since salient ones stay in place."""

WINDOW_BITS = 4 + 6
"""Shift and offset of a token's salient codes."""


class Widths(Figures):
    """Mean bits of a number in a model.

    Attributes:
        weight_bits: of the code of a weight.
        weight_bits_stored: the same with its share of scales, zero points and indices.
        activation_bits: of the code of an activation.
        activation_bits_stored: the same with its share of scales, zero points, windows and marks.
        bits_note: formats that these means hide, or empty.
    """

    weight_bits: float
    weight_bits_stored: float
    activation_bits: float
    activation_bits_stored: float
    bits_note: str = ""


FLOAT_WIDTHS = Widths(
    weight_bits=FLOAT_BITS,
    weight_bits_stored=FLOAT_BITS,
    activation_bits=FLOAT_BITS,
    activation_bits_stored=FLOAT_BITS,
)


@dataclass(frozen=True)
class Form:
    """Number format of a method other than SpikeQuant.

    Attributes:
        zero_points: whether each scale has a zero point.
        group: number of inputs that share a scale; 0 for a whole row or token.
        wide_share: share of the inputs with weights and activations of 8 bits.
        extra_share: share of the inputs with one more bit in their activations.
    """

    zero_points: bool
    group: int = 0
    wide_share: float = 0.0
    extra_share: float = 0.0

    def stored(self, bits: float, code_bits: int, inputs: int, *, parts: bool) -> float:
        """Mean bits of a code in a row of ``inputs``, with its share of scales and zero points.

        Args:
            bits: mean width of the codes.
            code_bits: width of a zero point.
            inputs: K.
            parts: whether some inputs have another width, and a scale of their own.
        """
        narrow = round((1 - self.wide_share) * inputs)
        scales = (-(-narrow // self.group) if self.group else 1) + parts
        return bits + scales * (SCALE_BITS + self.zero_points * code_bits) / inputs

    def mean(self, bits: int) -> float:
        """Mean bits of a code where the narrow ones have ``bits`` bits."""
        return bits + self.wide_share * (WIDE_BITS - bits)

    @property
    def note(self) -> str:
        """Formats that the mean widths hide, or empty."""
        parts = (
            f"groups of {self.group}" if self.group else "",
            f"{self.wide_share:.2%} of the inputs at {WIDE_BITS} bits" if self.wide_share else "",
            f"{self.extra_share:.0%} of the inputs with one more bit" if self.extra_share else "",
        )
        return ", ".join(part for part in parts if part)


FORMS = {
    "rtn": Form(zero_points=True),
    "smoothquant": Form(zero_points=True),
    "atom": Form(zero_points=False, group=GROUP, wide_share=WIDE_SHARE),
    "spikellm": Form(zero_points=True, extra_share=1 - NORMAL_SHARE),
    "quarot": Form(zero_points=False),
}


def measure_widths(model: PreTrainedModel, method: str, recipe: Recipe, *, salient_ratio: float) -> Widths:
    """Measure the widths of a model after a method was applied.

    Args:
        model: float or quantized.
        method: as in ``--method``.
        recipe: source of the method's bits.
        salient_ratio: measured share of salient activations.
    """
    modules = dict(model.named_modules())
    layers = {name: layer for name, layer in modules.items() if isinstance(layer, SpikeQuantLinear)}
    if layers:
        return _spikequant(layers, salient_ratio)
    shapes = {name: layer.weight.shape for name, layer in modules.items() if isinstance(layer, FakeQuantLinear)}
    if not shapes:
        return FLOAT_WIDTHS
    weight_bits, activation_bits = recipe.weights.bits, recipe.activations.bits
    sites = {site_name(name): inputs for name, (_, inputs) in shapes.items()}
    if method not in FORMS:
        form = Form(zero_points=True, group=recipe.weights.group_size)
        code, stored = _activations(sites, activation_bits, recipe.activations.salient_bits, salient_ratio, 0)
        note = "; ".join(recipe.extra_hardware)
    else:
        form = FORMS[method]
        code = form.mean(activation_bits) + form.extra_share
        parts = bool(form.wide_share or form.extra_share)
        stored = _mean((form.stored(code, activation_bits, inputs, parts=parts), inputs) for inputs in sites.values())
        note = form.note
    weight = form.mean(weight_bits)
    return Widths(
        weight_bits=weight,
        weight_bits_stored=_mean(
            (form.stored(weight, weight_bits, k, parts=bool(form.wide_share)), n * k) for n, k in shapes.values()
        ),
        activation_bits=code,
        activation_bits_stored=stored,
        bits_note=note,
    )


def plain_widths(model: PreTrainedModel, bits: int) -> Widths:
    """Widths of a float model's layers with one scale and zero point for a row of weights, and one for a token.

    Args:
        model: a float model.
        bits: width of all codes.
    """
    form = Form(zero_points=True)
    shapes = {name: layer.weight.shape for name, layer in decoder_linears(model).items()}
    sites = {site_name(name): inputs for name, (_, inputs) in shapes.items()}
    return Widths(
        weight_bits=bits,
        weight_bits_stored=_mean((form.stored(bits, bits, k, parts=False), n * k) for n, k in shapes.values()),
        activation_bits=bits,
        activation_bits_stored=_mean((form.stored(bits, bits, k, parts=False), k) for k in sites.values()),
    )


def _mean(pairs: Iterable[tuple[float, float]]) -> float:
    """Mean of values with their weights."""
    total = count = 0.0
    for value, times in pairs:
        total += value * times
        count += times
    return total / count


def _activations(
    sites: dict[str, int], bits: int, salient_bits: int, salient_ratio: float, token_bits: int
) -> tuple[float, float]:
    """Mean bits of a code, and of what is stored for it, at sites with these numbers of inputs."""
    code = bits + salient_ratio * (salient_bits - bits)
    marked = code + MARK_BITS * (salient_bits > 0)
    per_token = token_bits + WINDOW_BITS * (salient_bits > 0)
    return code, _mean((marked + per_token / inputs, inputs) for inputs in sites.values())


def _spikequant(layers: dict[str, SpikeQuantLinear], salient_ratio: float) -> Widths:
    code = stored = weights = wide = inputs = 0
    sites: dict[str, int] = {}
    for name, layer in layers.items():
        rows, columns = layer.codes.shape
        bits = rows * columns * layer.weight_bits + rows * layer.wide.numel() * LOW_BITS
        code += bits
        stored += bits + rows * (THETA_BITS + layer.weight_bits) + layer.wide.numel() * INDEX_BITS
        weights += rows * columns
        wide += layer.wide.numel()
        inputs += columns
        sites[site_name(name)] = columns
    site = next(iter(layers.values())).site
    token_bits = SCALE_BITS + site.bits if isinstance(site, TokenSite) else 0
    activation, activation_stored = _activations(sites, site.bits, site.salient_bits, salient_ratio, token_bits)
    return Widths(
        weight_bits=code / weights,
        weight_bits_stored=stored / weights,
        activation_bits=activation,
        activation_bits_stored=activation_stored,
        bits_note=f"{wide / inputs:.2%} of the columns at {layer.weight_bits + LOW_BITS} bits" if wide else "",
    )
