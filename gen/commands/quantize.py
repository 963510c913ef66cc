"""The command ``quantize``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CalibrationFile, CalibrationTokens, JsonFile, PlotFile, RecipeName
from spikequant.golden.support.command_line import resumable
from spikequant.golden.support.figures import Figures


class QuantizeFigures(Figures):
    """Figures of a quantized model.

    Attributes:
        model: the float model.
        recipe: name or file of the recipe.
        out: folder of the checkpoint.
        layers: quantized linear layers.
        sites: their distinct inputs.
        weights: quantized weights in all layers.
        wide_columns: input columns with 8-bit weights, over all layers.
        calibration: one line about the calibration text.
        regrid: one line on what rounding the weights of a packed 4-bit model again costs; None for other models.
        training: one line about the training; None without training, as are the next three.
        training_seconds: wall time.
        training_divergence: divergence from the float model's predictions in each step, in nats per token.
        training_salient: fraction of salient values in each step, 0..1.
        training_held_out: divergence on held-out windows, in nats per token, by the number of steps before it.
    """

    model: str
    recipe: str
    out: str
    layers: int
    sites: int
    weights: int
    wide_columns: int
    calibration: str
    regrid: str | None
    training: str | None = None
    training_seconds: float | None = None
    training_divergence: list[float] | None = None
    training_salient: list[float] | None = None
    training_held_out: dict[int, float] | None = None


@resumable("finished parts are kept in --out")
def quantize(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write the checkpoint to")],
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="smollm2 (bundled), a .gguf file, a transformers folder, or a hub id")
    ] = "smollm2",
    recipe: RecipeName = "compensated",
    calibration: CalibrationFile = None,
    calibration_tokens: CalibrationTokens = None,
    plot: PlotFile = None,
    json_file: JsonFile = None,
) -> None:
    """Quantize a language model with SpikeQuant, and write it with its tokenizer as a checkpoint folder.

    An interrupted run resumes when the same command is started again. The plot shows the divergence during training.
    """
    from spikequant.gen.output import check_output, check_plot, show_figures, show_written
    from spikequant.golden.quantizer.recipe import load_recipe
    from spikequant.golden.support.errors import InputError
    from spikequant.golden.support.files import replace_file

    chosen = load_recipe(recipe, calibration_tokens=calibration_tokens)
    check_plot(plot)
    if plot and not chosen.distillation.steps:
        raise InputError(f"plot {plot}: recipe {recipe} does not train, expected one that does")
    check_output(json_file, plot, folder=out)

    from spikequant.golden.evaluation.methods import Calibration
    from spikequant.golden.evaluation.pipeline import check_storable, quantize_to_folder
    from spikequant.golden.models.model import load_model, site_name
    from spikequant.golden.models.packed_checkpoint import find_packed
    from spikequant.golden.models.text import calibration_corpus
    from spikequant.golden.quantizer.linear import quantized_layers
    from spikequant.golden.quantizer.regrid import regrid_errors, regrid_summary

    check_storable(chosen)
    # a text that cannot be read is reported before the model is loaded
    if calibration:
        calibration_corpus(calibration)
    language_model = load_model(model)
    packed = find_packed(Path(model))
    regrid = regrid_summary(list(regrid_errors(packed, chosen.weights))) if packed else None
    text = Calibration(calibration, chosen.calibration_tokens, chosen.calibration_context)
    outcome = quantize_to_folder(language_model, chosen, text, out)
    layers = quantized_layers(language_model.model)
    training = outcome.training
    figures = QuantizeFigures(
        model=model,
        recipe=recipe,
        out=str(out),
        layers=len(layers),
        sites=len({site_name(name) for name in layers}),
        weights=sum(layer.codes.numel() for layer in layers.values()),
        wide_columns=sum(layer.wide.numel() for layer in layers.values()),
        calibration=outcome.calibration,
        regrid=regrid,
        training=outcome.learned if training else None,
        training_seconds=training.seconds if training else None,
        training_divergence=training.divergence if training else None,
        training_salient=training.salient if training else None,
        training_held_out=training.held_out if training else None,
    )
    figures.write(json_file)
    if plot and training:
        from spikequant.golden.distillation.plots import training_plot

        with replace_file(plot) as temporary:
            temporary.write_bytes(training_plot(training))
    curves = {"out", "training_divergence", "training_salient", "training_held_out"}
    show_figures("quantized", figures.model_dump(exclude=curves))
    show_written(out, plot, json_file)
