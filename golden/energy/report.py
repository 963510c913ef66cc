"""Energy of one token's linear layers by method, and where a published claim about it holds."""

from collections.abc import Callable, Iterable

from spikequant.golden.energy.activity import LayerActivity
from spikequant.golden.energy.methods import ATOM, FIRST_SPIKE, GIF, METHODS, EnergyMethod, output_tiles
from spikequant.golden.energy.models import MODELS, Constant, EnergyModel
from spikequant.golden.energy.work import Component, Kind, Work
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.figures import Figures

CLAIM = 4.6
"""SpikeQuant's abstract (arXiv 2510.19498): "up to 4.6 times" less energy than existing methods."""


class MethodEnergy(Figures):
    """Energy of one method under one energy model.

    Attributes:
        picojoules: energy of a token in all layers, pJ.
        ratio: the same over that of SpikeQuant with time-to-first-spike.
        best_layer: the layer with the largest such ratio.
        best_ratio: that ratio.
        lost_layers: number of layers in which SpikeQuant with time-to-first-spike needs more energy.
        components: shares of ``picojoules`` by component, pJ, without those that are 0.
    """

    picojoules: float
    ratio: float
    best_layer: str
    best_ratio: float
    lost_layers: int
    components: dict[Component, float]


class ModelEnergy(Figures):
    """Energy of all methods under one energy model.

    Attributes:
        name: of the energy model.
        title: of the energy model, for tables.
        rules: how the constants become prices.
        left_out: kinds of operations that cost nothing.
        constants: every number that the prices use.
        energy: by name of method.
    """

    name: str
    title: str
    rules: tuple[str, ...]
    left_out: tuple[Kind, ...]
    constants: tuple[Constant, ...]
    energy: dict[str, MethodEnergy]


class MethodCounts(Figures):
    """Operations of one method for a token in all layers.

    Attributes:
        integer_adds: additions, subtractions and comparisons of integers.
        integer_multiplies: multiplications of integers.
        float_operations: additions and multiplications of floats.
        weight_bits_read: from memory next to the array, scales included.
        weight_bits_fetched: from main memory, if the weights are there.
        activation_bits_moved: codes to every tile of outputs, and outputs.
        spikes: at the inputs, each counted once.
    """

    integer_adds: float
    integer_multiplies: float
    float_operations: float
    weight_bits_read: float
    weight_bits_fetched: float
    activation_bits_moved: float
    spikes: float


class Verdict(Figures):
    """Whether SpikeQuant needs 4.6 times less energy than another method, under one energy model.

    Attributes:
        model: name of the energy model.
        method: name of the other method.
        title: of the other method.
        ratio: its energy over SpikeQuant's, all layers together.
        best_layer: the layer with the largest ratio.
        best_ratio: the ratio there.
        holds: whether all layers together reach 4.6.
        holds_in_a_layer: whether some layer does.
    """

    model: str
    method: str
    title: str
    ratio: float
    best_layer: str
    best_ratio: float
    holds: bool
    holds_in_a_layer: bool

    def __str__(self) -> str:
        """The other method and its ratios, for a sentence."""
        best = "" if self.holds else f", best layer {self.best_ratio:.2f} x"
        return f"{self.title} ({self.ratio:.2f} x{best})"


class MethodNote(Figures):
    """What is counted for a method.

    Attributes:
        name: of the method.
        title: of the method, for tables.
        note: what is counted, and its source.
    """

    name: str
    title: str
    note: str


class EnergyReport(Figures):
    """Energy of one token of a quantized model.

    Attributes:
        checkpoint: folder of the model.
        tokens: number of tokens that the counts are means over.
        protocol: one line on the model, the text and the array.
        config: spec of the array.
        layers: number of linear layers.
        claim: the ratio that the verdicts are about.
        verdicts: for each energy model against Atom and SpikeLLM.
        claim_lines: where the claim holds and where not.
        loss_lines: where SpikeQuant needs more energy.
        methods: every method, in the order of the tables.
        models: energies under each energy model.
        counts: operations by name of method.
        activity: mean events a token of each layer.
    """

    checkpoint: str
    tokens: int
    protocol: str
    config: Spec
    layers: int
    claim: float
    verdicts: list[Verdict]
    claim_lines: list[str]
    loss_lines: list[str]
    methods: list[MethodNote]
    models: list[ModelEnergy]
    counts: dict[str, MethodCounts]
    activity: list[LayerActivity]


MethodWork = dict[EnergyMethod, list[list[Work]]]
"""Work of one token by method and layer."""


def evaluate_energy(
    layers: list[LayerActivity], spec: Spec, *, checkpoint: str = "", protocol: str = ""
) -> EnergyReport:
    """Price one token's work in all layers under every energy model.

    Args:
        layers: one or more.
        spec: of the array: its neurons, memory depth and widths.
        checkpoint: folder of the model.
        protocol: one line on the model, the text and the array.
    """
    work: MethodWork = {method: [method.work(layer, spec) for layer in layers] for method in METHODS}
    models = [_model_energy(model, layers, work) for model in MODELS]
    verdicts = [_verdict(model, method) for model in models for method in (ATOM, *GIF)]
    return EnergyReport(
        checkpoint=checkpoint,
        tokens=layers[0].tokens,
        protocol=protocol,
        config=spec,
        layers=len(layers),
        claim=CLAIM,
        verdicts=verdicts,
        claim_lines=_claim_lines(models, verdicts),
        loss_lines=_loss_lines(models, len(layers)),
        methods=[MethodNote(name=item.name, title=item.title, note=item.note) for item in METHODS],
        models=models,
        counts={method.name: _counts(layers, parts, spec) for method, parts in work.items()},
        activity=layers,
    )


def _model_energy(model: EnergyModel, layers: list[LayerActivity], work: MethodWork) -> ModelEnergy:
    def layer_totals(method: EnergyMethod) -> list[float]:
        return [sum(model.energy(item) for item in items) for items in work[method]]

    reference = layer_totals(FIRST_SPIKE)
    energy = {}
    for method, parts in work.items():
        totals = layer_totals(method)
        ratios = [total / other for total, other in zip(totals, reference, strict=True)]
        best = max(range(len(layers)), key=ratios.__getitem__)
        shares = {
            component: sum(model.energy(item) for items in parts for item in items if item.component is component)
            for component in Component
        }
        energy[method.name] = MethodEnergy(
            picojoules=sum(totals),
            ratio=sum(totals) / sum(reference),
            best_layer=layers[best].name,
            best_ratio=ratios[best],
            lost_layers=sum(ratio < 1 for ratio in ratios),
            components={component: share for component, share in shares.items() if share},
        )
    return ModelEnergy(
        name=model.name,
        title=model.title,
        rules=model.rules,
        left_out=model.left_out,
        constants=model.constants,
        energy=energy,
    )


def _counts(layers: list[LayerActivity], parts: list[list[Work]], spec: Spec) -> MethodCounts:
    def count(*kinds: Kind) -> float:
        return sum(item.count for items in parts for item in items if item.kind in kinds)

    spikes = sum(
        item.count / output_tiles(layer, spec)
        for layer, items in zip(layers, parts, strict=True)
        for item in items
        if item.kind is Kind.SPIKE_MOVE
    )
    return MethodCounts(
        integer_adds=count(Kind.INTEGER_ADD),
        integer_multiplies=count(Kind.INTEGER_MULTIPLY),
        float_operations=count(Kind.FLOAT_ADD, Kind.FLOAT_MULTIPLY),
        weight_bits_read=count(Kind.WEIGHT_READ),
        weight_bits_fetched=count(Kind.WEIGHT_FETCH),
        activation_bits_moved=count(Kind.CODE_MOVE, Kind.SPIKE_CODE_MOVE),
        spikes=spikes,
    )


def _verdict(model: ModelEnergy, method: EnergyMethod) -> Verdict:
    found = model.energy[method.name]
    return Verdict(
        model=model.name,
        method=method.name,
        title=method.title,
        ratio=found.ratio,
        best_layer=found.best_layer,
        best_ratio=found.best_ratio,
        holds=found.ratio >= CLAIM,
        holds_in_a_layer=found.best_ratio >= CLAIM,
    )


def _claim_lines(models: list[ModelEnergy], verdicts: list[Verdict]) -> list[str]:
    """Where "up to 4.6 times less" holds and where not: a sentence for each energy model, and one for all."""
    answers: dict[str, Callable[[Verdict], bool]] = {
        "holds against": lambda verdict: verdict.holds,
        "holds in single layers only against": lambda verdict: verdict.holds_in_a_layer and not verdict.holds,
        "does not hold against": lambda verdict: not verdict.holds_in_a_layer,
    }
    lines = []
    for model in models:
        found = [verdict for verdict in verdicts if verdict.model == model.name]
        groups = {answer: ", ".join(str(item) for item in found if fits(item)) for answer, fits in answers.items()}
        lines.append(_sentence(model.title, (f"{answer} {names}" for answer, names in groups.items() if names)))
    held = sum(verdict.holds for verdict in verdicts)
    atom = max(verdict.ratio for verdict in verdicts if verdict.method == ATOM.name)
    lines.append(
        f"In total: holds in {held} of {len(verdicts)} pairs of energy model and other method; "
        f"at most {atom:.2f} x against {ATOM.title}."
    )
    return lines


def _loss_lines(models: list[ModelEnergy], layers: int) -> list[str]:
    """Where SpikeQuant with time-to-first-spike needs more energy than another method, a sentence for each model."""
    lines = []
    for model in models:
        rows = ((method.title, model.energy[method.name]) for method in METHODS)
        losses = [
            f"{title} ({row.ratio:.2f} x in total, less in {row.lost_layers} of {layers} layers)"
            for title, row in rows
            if row.lost_layers
        ]
        lines.append(_sentence(model.title, losses or ["nowhere"]))
    return lines


def _sentence(title: str, parts: Iterable[str]) -> str:
    return f"{title}: {'; '.join(parts)}."
