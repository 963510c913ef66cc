"""The command ``bake``: a layer's weights into a finished bitstream."""

# Commands import what they need when they run, so that --help answers at once; their options have names anyway.

import time
from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.layer_choice import CheckpointFolder, LayerName, VectorsFile, check_one_layer, chosen_layer
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import CacheFolder, JsonFile


def bake(
    build: Annotated[Path, typer.Argument(metavar="DIR", help="folder that `synth --bakeable` wrote")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write the bitstream with the weights to")],
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Put a layer's weights into a finished bitstream, without building it again.

    They are in the accelerator's block RAMs once the board is programmed, so that `run --baked` sends none; the
    synapse memory must hold all of the layer. Exit status 0 if the bitstream is made and, unpacked, has these weights,
    1 if a tool failed, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.baked.bake import bake as bake_weights
    from spikequant.fpga.baked.bake import read_bakeable
    from spikequant.fpga.baked.image import weights_image
    from spikequant.fpga.baked.program import placed_program
    from spikequant.fpga.build.build import BITSTREAM, find_tools
    from spikequant.fpga.toolchain import ToolError
    from spikequant.golden.support.files import check_writable, writable_folder, write_json
    from spikequant.golden.support.store import default_cache_folder

    check_one_layer("bake", vectors=vectors, checkpoint=checkpoint, layer=layer)
    spec = read_bakeable(build).spec
    if out.resolve() == build.resolve():
        raise InputError(f"bake: {out} is the build's own folder, expected another one for --out")
    tools = find_tools()
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    try:
        with Console(stderr=True).status("baking"):
            name, integers = chosen_layer(spec, vectors=vectors, checkpoint=checkpoint, layer=layer, tokens=1)
            began = time.perf_counter()
            image = weights_image(spec, placed_program(spec, integers).packets)
            cache_folder = cache or default_cache_folder()
            baked = bake_weights(build, image, layer=name, tools=tools, out=out, cache=cache_folder)
            seconds = time.perf_counter() - began
    except ToolError as error:
        typer.echo(f"spikequant: {error}", err=True)
        raise typer.Exit(1) from None
    if json_file is not None:
        write_json(json_file, {**baked.model_dump(mode="json"), "seconds": seconds})
    typer.echo(
        f"{out / BITSTREAM}: {name}, {integers.outputs} x {integers.inputs} weights in {len(baked.blocks)} block RAMs, "
        f"{seconds:.1f} s, sha256 {baked.bitstream_sha256[:16]}"
    )


def add_commands(app: typer.Typer) -> None:
    """Add ``bake`` to the command line."""
    app.command()(bake)
