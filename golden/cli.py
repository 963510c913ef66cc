"""The commands ``quantize`` and ``eval``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from golden.errors import InputError

ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="smollm2 (bundled), a .gguf, a transformers folder, or a hub id")
]
ModelOrFolder = Annotated[
    str, typer.Argument(metavar="MODEL_OR_DIR", help="a model as for quantize, or a folder that quantize wrote")
]
CalibrationFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="calibration text; by default bundled Wikipedia articles")
]
CalibrationTokens = Annotated[int, typer.Option(metavar="N", help="tokens of calibration text")]
WideFraction = Annotated[float, typer.Option(metavar="SHARE", help="share of the weight columns with 8 bits, 0..1")]
ClipSearch = Annotated[bool, typer.Option(help="search each weight row's range")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures here")]


def quantize(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write")],
    model: ModelName = "smollm2",
    calibration: CalibrationFile = None,
    calibration_tokens: CalibrationTokens = 8192,
    wide: WideFraction = 0.0625,
    clip_search: ClipSearch = True,
    json_file: JsonFile = None,
) -> None:
    """Quantize a language model with SpikeQuant and write model.safetensors, spikequant.json and the tokenizer."""
    from golden.calibrate import Recipe, quantize_model
    from golden.checkpoint import save_checkpoint
    from golden.files import check_writable, writable_folder, write_json
    from golden.methods import Calibration
    from golden.model import load_model

    recipe = Recipe(wide_fraction=wide, clip_search=clip_search)
    writable_folder(out)
    if json_file:
        check_writable(json_file)
    language_model = load_model(model)
    observations, text = Calibration(calibration, calibration_tokens).observe(language_model)
    layers = quantize_model(language_model.model, observations, recipe)
    save_checkpoint(out, language_model, recipe, calibration=text)
    figures: dict[str, Any] = {
        "model": model,
        "out": str(out),
        "layers": len(layers),
        "sites": len(observations.sites),
        "weights": sum(layer.codes.numel() for layer in layers.values()),
        "wide_columns": sum(layer.wide.numel() for layer in layers.values()),
        "calibration": text,
    }
    if json_file:
        write_json(json_file, figures)
    _summary("quantized", figures)


def eval_(
    model: ModelOrFolder = "smollm2",
    method: Annotated[str, typer.Option(help="fp, rtn or spikequant")] = "spikequant",
    text: Annotated[
        Path | None, typer.Option(metavar="FILE", help="text to score; by default held-out articles")
    ] = None,
    tokens: Annotated[int, typer.Option(metavar="N", help="tokens to score")] = 4096,
    ctx: Annotated[int, typer.Option(metavar="N", help="tokens in a window; windows do not overlap")] = 512,
    output_bits: Annotated[
        int | None, typer.Option(metavar="B", help="send layer outputs through codes of B bits; by default membranes")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="MODEL", help="float model to report divergence and top-1 agreement with")
    ] = None,
    calibration: CalibrationFile = None,
    calibration_tokens: CalibrationTokens = 8192,
    wide: WideFraction = 0.0625,
    clip_search: ClipSearch = True,
    json_file: JsonFile = None,
) -> None:
    """Measure the perplexity of a model on held-out text."""
    from golden.calibrate import Recipe
    from golden.checkpoint import is_checkpoint, load_checkpoint
    from golden.evaluate import quantized_layers, score
    from golden.files import check_writable, write_json
    from golden.methods import Calibration, apply_method, check_method
    from golden.model import load_model
    from golden.text import evaluation_corpus
    from golden.windows import token_windows

    check_method(method)
    if output_bits is not None and (method != "spikequant" or not 2 <= output_bits <= 16):
        raise InputError(f"output-bits: {output_bits} with method {method}, expected 2..16 with method spikequant")
    recipe = Recipe(wide_fraction=wide, clip_search=clip_search)
    if json_file:
        check_writable(json_file)
    corpus = evaluation_corpus(text)
    if is_checkpoint(Path(model)):
        if method != "spikequant":
            raise InputError(f"model {model}: a quantized checkpoint, expected --method spikequant, got {method}")
        checkpoint = load_checkpoint(Path(model))
        language_model = checkpoint.language_model
    else:
        checkpoint, language_model = None, load_model(model)
    windows = token_windows(language_model.tokenizer, corpus.texts, tokens=tokens, context=ctx)
    if checkpoint:
        how = f"{checkpoint.description.name} calibrated on {checkpoint.description.calibration}"
    else:
        how = apply_method(language_model, method, recipe, Calibration(calibration, calibration_tokens))
    for layer in quantized_layers(language_model.model).values():
        layer.output_bits = output_bits
    compared = load_model(reference).model if reference else None
    result = score(language_model.model, windows, compared)
    protocol = f"{model}; {result.tokens} tokens of {corpus.name}, windows of {ctx} without overlap; {method}, {how}"
    figures = {"model": model, "method": method, **vars(result), "output_bits": output_bits, "protocol": protocol}
    if json_file:
        write_json(json_file, figures)
    _summary("evaluated", figures)


def _summary(title: str, figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def add_commands(app: typer.Typer) -> None:
    """Register ``quantize`` and ``eval``."""
    app.command("quantize")(quantize)
    app.command("eval")(eval_)
