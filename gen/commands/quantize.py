"""The command ``quantize``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikequant.golden.support.options import JsonFile

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="smollm2 (bundled), a .gguf, a transformers folder, or a hub id")
]
RecipeName = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE", help="fast, distilled, another preset, or a .toml file; see golden/quantizer/recipe.py"
    ),
]
CalibrationFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="calibration text; by default bundled Wikipedia articles")
]
CalibrationTokens = Annotated[int, typer.Option(metavar="N", help="tokens of calibration text for statistics")]
PlotFile = Annotated[Path | None, typer.Option(metavar="FILE.png", help="write a plot here")]


def quantize(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write")],
    model: ModelName = "smollm2",
    recipe: RecipeName = "fast",
    calibration: CalibrationFile = None,
    calibration_tokens: CalibrationTokens = 8192,
    json_file: JsonFile = None,
) -> None:
    """Quantize a language model with SpikeQuant and write model.safetensors, spikequant.json and the tokenizer.

    A run that was cut short goes on where it stopped when it is started again.
    """
    from spikequant.gen.commands.show import show_figures
    from spikequant.golden.quantizer.recipe import load_recipe
    from spikequant.golden.support.files import check_writable, writable_folder, write_json

    chosen = load_recipe(recipe)
    writable_folder(out)
    if json_file:
        check_writable(json_file)

    from spikequant.golden.evaluation.methods import Calibration
    from spikequant.golden.evaluation.pipeline import check_storable, quantize_to_folder
    from spikequant.golden.models.model import load_model, site_name
    from spikequant.golden.quantizer.linear import quantized_layers

    check_storable(chosen)
    language_model = load_model(model)
    outcome = quantize_to_folder(language_model, chosen, Calibration(calibration, calibration_tokens), out)
    layers = quantized_layers(language_model.model)
    figures: dict[str, Any] = {
        "model": model,
        "recipe": recipe,
        "out": str(out),
        "layers": len(layers),
        "sites": len({site_name(name) for name in layers}),
        "weights": sum(layer.codes.numel() for layer in layers.values()),
        "wide_columns": sum(layer.wide.numel() for layer in layers.values()),
        "calibration": outcome.calibration,
    }
    if outcome.training:
        figures["training"] = outcome.learned
        figures["training_seconds"] = outcome.training.seconds
        figures["training_divergence"] = outcome.training.divergence
        figures["training_salient"] = outcome.training.salient
    if json_file:
        write_json(json_file, figures)
    show_figures("quantized", figures)
