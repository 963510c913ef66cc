"""The command ``cosim``: layers on the generated Verilog, compared with the golden model."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import (
    AllowSaturation,
    CheckpointFolder,
    JsonFile,
    LayerName,
    LayerText,
    LayerTokens,
    NetlistStage,
    Scheduler,
    SpecName,
    VectorsFile,
    Workers,
)
from spikequant.golden.support.command_line import FAILED, resumable
from spikequant.golden.support.errors import InputError


@resumable("with --all, simulated layers are kept in the cache")
def cosim(
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    all_layers: Annotated[bool, typer.Option("--all", help="run every decoder layer, on all cores")] = False,
    tokens: LayerTokens = 8,
    text: LayerText = None,
    out: Annotated[
        Path | None, typer.Option(metavar="OUT.npz", help="write the hardware's results to this file")
    ] = None,
    json_file: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="with --all: write a page with every layer to this file")
    ] = None,
    stalls: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.9, help="fraction of cycles in which the streams pause")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="seed of the pauses")] = 0,
    netlist: NetlistStage = None,
    waves: Annotated[
        Path, typer.Option(metavar="DIR", help="folder for a waveform of the first divergence, if there is one")
    ] = Path("build/divergence"),
    allow_saturation: AllowSaturation = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="with --all: also simulate layers that earlier runs simulated")
    ] = False,
) -> None:
    """Run layers on the generated Verilog in Verilator, and compare every output with the golden model.

    Exit status 0 if all outputs are equal and none is saturated, 1 if not, 2 for bad input.
    """
    from spikequant.gen.layer_choice import LayerChoice
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec

    if all_layers:
        if checkpoint is None or layer is not None or vectors is not None:
            raise InputError("cosim: expected --all with --checkpoint DIR, without --layer and --vectors")
        if out is not None or stalls or netlist is not None:
            raise InputError("cosim: --out, --stalls and --netlist are for one layer, expected --all without them")
    elif report is not None or workers is not None or scheduler is not None or fresh:
        raise InputError("cosim: --report, --workers, --scheduler and --fresh are for many layers, expected --all")
    if vectors is None and checkpoint is None:
        raise InputError("cosim: expected --vectors IN.npz, or --checkpoint DIR with --layer NAME or --all")
    spec = load_spec(config)
    check_output(out, json_file, report)
    if all_layers:
        from spikequant.gen.model_cosimulation import run_model

        assert checkpoint is not None
        ok = run_model(
            spec,
            checkpoint,
            tokens,
            text=text,
            json_file=json_file,
            page=report,
            allow_saturation=allow_saturation,
            workers=workers,
            scheduler=scheduler,
            fresh=fresh,
        )
    else:
        from spikequant.gen.layer_cosimulation import run_one_layer

        ok = run_one_layer(
            spec,
            LayerChoice("cosim", vectors, checkpoint, layer, tokens, text),
            out=out,
            json_file=json_file,
            stalls=stalls,
            seed=seed,
            netlist=netlist,
            waves=waves,
            allow_saturation=allow_saturation,
        )
    show_written(out, json_file, report)
    if not ok:
        raise typer.Exit(FAILED)
