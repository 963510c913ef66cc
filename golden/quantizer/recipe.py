"""How SpikeQuant quantizes a model: everything that a user may choose, as TOML."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spikequant.golden.models.model import site_group
from spikequant.golden.quantizer.site import SalientFormat, ZeroPoint
from spikequant.golden.support.toml_files import override, read_toml

_CONFIG = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Strength = Annotated[float, Field(ge=0, le=1)]

SiteGroup = Literal["qkv", "o", "gate_up", "down"]


class SaliencyFactors(BaseModel):
    """Saliency factor k by kind of site: ``thr = k * 1.4826 * MAD``."""

    model_config = _CONFIG

    qkv: float = Field(default=3.4, gt=0, description="input of the query, key and value projections")
    o: float = Field(default=4.4, gt=0, description="input of the attention's output projection")
    gate_up: float = Field(default=3.0, gt=0, description="input of the first MLP layers")
    down: float = Field(default=6.8, gt=0, description="input of the last MLP layer")
    other: float = Field(default=3.4, gt=0, description="every other input")
    factor: float = Field(default=1.0, gt=0, description="multiplies all of them")


class Activations(BaseModel):
    """How inputs become levels."""

    model_config = _CONFIG

    bits: int = Field(default=4, ge=1, le=8, description="width of a normal code")
    salient_bits: int = Field(default=5, ge=0, le=8, description="width of a salient code; 0 has none")
    scale: Literal["static", "token"] = Field(default="static", description="one scale per site, or one per token")
    zero_point: ZeroPoint = Field(default="free", description="wherever the range wants it, or amid the codes")
    salient_format: SalientFormat = Field(default="window", description="integers times a power of two, or floats")
    salient_rule: Literal["threshold", "outside"] = Field(
        default="threshold", description="salient beyond the threshold, or where no normal code is near"
    )
    k: SaliencyFactors = SaliencyFactors()

    @model_validator(mode="after")
    def _check(self) -> "Activations":
        if self.salient_bits == 1:
            raise ValueError("salient_bits: 1, expected 0 or 2 and more")
        if self.salient_bits == 2 and self.salient_format == "float":
            raise ValueError("salient_bits: 2, expected 0 or 3 and more for floats")
        return self


class Weights(BaseModel):
    """How weights become codes."""

    model_config = _CONFIG

    bits: int = Field(default=4, ge=1, le=8, description="width of a code")
    wide_fraction: float = Field(default=0.0625, ge=0, le=1, description="share of the columns with a low half")
    clip_search: bool = Field(default=True, description="whether to search the range of each row")
    gptq: tuple[SiteGroup, ...] = Field(default=(), description="kinds of sites whose layers GPTQ rounds")
    group_size: int = Field(default=0, ge=0, description="inputs that share a scale; 0: all of a row (research)")
    salient_k: float = Field(
        default=0.0, ge=0, description="weights this far out get one more bit in place; 0: none (research)"
    )


class Distillation(BaseModel):
    """Training of the quantized model towards the float model's predictions."""

    model_config = _CONFIG

    steps: int = Field(default=0, ge=0, description="updates; 0 trains nothing")
    windows: int = Field(default=1024, ge=1, description="most windows of calibration text to train on")
    generated: int = Field(default=0, ge=0, description="windows that the float model writes itself, beside these")
    batch: int = Field(default=2, ge=1, description="windows in one update")
    context: int = Field(default=512, ge=2, description="tokens in a window")
    warmup: int = Field(default=10, ge=0, description="updates until the full learning rate")
    weight_rate: float = Field(default=2e-3, ge=0, description="learning rate of weights, in steps of their grid")
    scale_rate: float = Field(default=1e-3, ge=0, description="learning rate of log scales, norms, and biases")
    site_rate: float = Field(default=1e-3, ge=0, description="learning rate of the sites' log scales")
    most_salient: float = Field(default=0.0283, gt=0, le=1, description="share of salient values not to exceed")
    seed: int = Field(default=0, ge=0, description="order of the windows")


class Recipe(BaseModel):
    """How a model is quantized. Frozen; a TOML file may start from a preset and override."""

    model_config = _CONFIG

    activations: Activations = Activations()
    weights: Weights = Weights()
    equalize: tuple[Strength, ...] = Field(
        default=(0.0, 0.125, 0.25, 0.375, 0.5),
        description="strengths to try for evening out channels, folded into what feeds a site; empty: leave them",
    )
    correct_bias: bool = Field(default=False, description="whether the bias takes the mean error of an output")
    distillation: Distillation = Distillation()

    def k(self, layer: str) -> float:
        """The saliency factor of a layer's input."""
        factors = self.activations.k
        group = site_group(layer)
        return factors.factor * (getattr(factors, group) if group in get_args(SiteGroup) else factors.other)

    @property
    def extra_hardware(self) -> list[str]:
        """What an accelerator would need beyond the integer datapath; empty for what runs on it."""
        needs = {
            "a datapath that shifts every salient spike by an exponent of its own": self.activations.salient_format
            == "float",
            "a multiplier per neuron and group of inputs, for the groups' scales": self.weights.group_size > 0,
            "weights of two widths in place, with an index of the wider ones": self.weights.salient_k > 0,
        }
        return [need for need, wanted in needs.items() if wanted]


def _preset(**values: Any) -> Recipe:
    return Recipe.model_validate(values)


RECIPES: dict[str, Recipe] = {
    "fast": _preset(),
    "plain": _preset(equalize=()),
    "distilled": _preset(
        activations={"salient_rule": "outside", "k": {"factor": 0.87}},
        distillation={"steps": 420, "generated": 160, "most_salient": 0.0295},
    ),
    "token": _preset(activations={"scale": "token"}, equalize=()),
    "symmetric": _preset(activations={"zero_point": "symmetric"}),
    "research-float-salients": _preset(activations={"salient_format": "float"}),
    "research-groups": _preset(weights={"group_size": 128, "wide_fraction": 0.0}),
    "research-salient-weights": _preset(weights={"salient_k": 3.5, "wide_fraction": 0.0}),
}
"""Named recipes. ``fast`` is the default: no training. Those named research do not run on the datapath."""


def load_recipe(name: str) -> Recipe:
    """The recipe that ``--recipe`` names: a preset, or a TOML file.

    Raises:
        InputError: no such preset or file, unreadable TOML, or a bad value in it.
    """
    if name in RECIPES:
        return RECIPES[name]
    values = read_toml(name, what="recipe", presets=RECIPES)
    return override(values, presets=RECIPES, default="fast", source=f"recipe {name}")
