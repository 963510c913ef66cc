"""The command ``bake``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, CheckpointFolder, JsonFile, LayerName, VectorsFile
from spikequant.golden.support.errors import InputError


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

    A board programmed with it holds the weights in block RAM, so `run --baked` sends none; the synapse memory must
    hold the whole layer. Exit status 0 if the bitstream is made and, unpacked, holds these weights, 1 if a tool failed,
    2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.baked.bake import bake as bake_weights
    from spikequant.fpga.baked.bake import read_bakeable
    from spikequant.fpga.baked.image import weights_image
    from spikequant.fpga.baked.program import placed_program
    from spikequant.fpga.build.build import BITSTREAM, find_tools
    from spikequant.gen.layer_choice import LayerChoice
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.support.files import write_json
    from spikequant.golden.support.store import default_cache_folder

    chosen = LayerChoice("bake", vectors, checkpoint, layer)
    spec = read_bakeable(build).spec
    if out.resolve() == build.resolve():
        raise InputError(f"bake: {out} is the build's own folder, expected another one for --out")
    tools = find_tools()
    check_output(json_file, folder=out)
    integers = chosen.load(spec)
    with Console(stderr=True).status("baking"):
        began = time.perf_counter()
        image = weights_image(spec, placed_program(spec, integers).packets)
        kept = cache or default_cache_folder()
        baked = bake_weights(build, image, layer=chosen.name, tools=tools, out=out, cache=kept)
        seconds = time.perf_counter() - began
    if json_file is not None:
        write_json(json_file, {**baked.model_dump(mode="json"), "seconds": seconds})
    typer.echo(
        f"{chosen.name}: {integers.outputs} x {integers.inputs} weights in {len(baked.blocks)} block RAMs, "
        f"{seconds:.1f} s, sha256 {baked.bitstream_sha256[:16]}"
    )
    show_written(out / BITSTREAM, json_file)
