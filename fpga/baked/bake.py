"""Weights into a finished bitstream: through ecpbram, without synthesis, placement or routing.

A bitstream that is to take weights is built with random ones, the marker, by which ecpbram finds the block RAMs again.
Beside the bitstream the build's folder then has what it was packed from, and the marker.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from spikequant.fpga.baked.ecpbram import ecpbram_run
from spikequant.fpga.baked.image import Image, block_contents, image_shape, image_text, read_image
from spikequant.fpga.build.block_contents import Content, read_contents
from spikequant.fpga.build.build import BITSTREAM, NAME, Plan, Tools, pack, unpack_bitstream
from spikequant.fpga.toolchain import ToolError, run_tool
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import read_text, replace_file, write_text
from spikequant.golden.support.json_files import read_json

BAKEABLE = "bakeable.json"
CONFIGURATION = "spikequant.config"
MARKER = "weights.hex"
"""Names of the files in a build's folder."""

BAKED = "baked.json"
"""Beside a bitstream that has weights."""

MARKER_SEED = 1


class Bakeable(BaseModel):
    """A build that takes weights.

    Attributes:
        board: what it is for.
        spec: of its accelerator.
        pack: arguments of ecppack.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    board: str
    spec: Spec
    pack: tuple[str, ...]


class Baked(BaseModel):
    """A bitstream with weights.

    Attributes:
        board: what it is for.
        spec: of its accelerator.
        layer: what the weights were called.
        weights_sha256: of the image of the synapse memory, as text.
        bitstream_sha256: of the bitstream.
        blocks: number in the bitstream of each block RAM of the synapse memory, by the end of its cell's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    board: str
    spec: Spec
    layer: str
    weights_sha256: str
    bitstream_sha256: str
    blocks: dict[str, int]


@dataclass(frozen=True)
class Marker:
    """Random weights, always the same for a spec; the row that lanes without a spike read stays zero.

    Attributes:
        spec: of the accelerator.
        image: the weights.
    """

    spec: Spec
    image: Image

    @property
    def contents(self) -> dict[str, Content]:
        """Of each block RAM, by the end of its cell's name."""
        return block_contents(self.spec, self.image)


def make_marker(spec: Spec, *, cache: Path) -> Marker:
    """The marker of a spec.

    Raises:
        InputError: the synapse memory is too deep.
        ToolError: ecpbram failed.
    """
    rows, columns = image_shape(spec)
    size = ["--seed", str(MARKER_SEED), "--width", str(columns), "--depth", str(rows)]
    run = ecpbram_run(["--generate", MARKER, *size], {}, (MARKER,))
    image = read_image((run_tool(run, cache=cache) / MARKER).read_text("ascii"), spec, source="ecpbram")
    image[0] = 0
    return Marker(spec, image)


def write_bakeable(folder: Path, plan: Plan, marker: Marker, configuration: bytes) -> None:
    """Write what a build's folder has beside the bitstream; ``BAKEABLE`` last, since it says that all is there."""
    build = Bakeable(board=plan.board.name, spec=marker.spec, pack=tuple(plan.commands["ecppack"]))
    with replace_file(folder / CONFIGURATION) as beside:
        beside.write_bytes(configuration)
    write_text(folder / MARKER, image_text(marker.image))
    write_text(folder / BAKEABLE, build.model_dump_json(indent=2) + "\n")


def read_bakeable(folder: Path) -> Bakeable:
    """The build in a folder.

    Raises:
        InputError: it takes no weights.
    """
    return read_json(folder / BAKEABLE, Bakeable, what="build", expected="what `spikequant synth --bakeable` writes")


def bake(folder: Path, image: Image, *, layer: str, tools: Tools, out: Path, cache: Path) -> Baked:
    """Put weights into a build's bitstream; what comes out is unpacked again, and its block RAMs are compared.

    Args:
        folder: of the build.
        image: of the weights.
        layer: what they are called.
        tools: with what.
        out: folder for the bitstream.
        cache: where results of earlier runs are.

    Raises:
        InputError: the folder has no build that takes these weights.
        ToolError: a tool failed.
    """
    build = read_bakeable(folder)
    text = read_text(folder / CONFIGURATION, what="build")
    marker_text = read_text(folder / MARKER, what="build")
    marker = Marker(build.spec, read_image(marker_text, build.spec, source=f"build {folder / MARKER}"))
    before = _read(text, source=f"build {folder / CONFIGURATION}")
    blocks = {name: _number(before, content, folder) for name, content in marker.contents.items()}

    configuration = _exchanged(text, marker_text, image_text(image), cache=cache)
    packed = pack(build.pack, configuration, tools, cache=cache) / f"{NAME}.bit"
    bitstream = packed.read_bytes()
    wanted = before | {blocks[name]: content for name, content in block_contents(build.spec, image).items()}
    found = read_contents(unpack_bitstream(bitstream, tools, cache=cache).decode())
    if found.keys() != wanted.keys() or any(not np.array_equal(found[number], wanted[number]) for number in wanted):
        raise ToolError(f"ecpbram: {packed} has other weights than it was given", console="")

    baked = Baked(
        board=build.board,
        spec=build.spec,
        layer=layer,
        weights_sha256=weights_digest(image),
        bitstream_sha256=hashlib.sha256(bitstream).hexdigest(),
        blocks=blocks,
    )
    (out / BAKED).unlink(missing_ok=True)
    with replace_file(out / BITSTREAM) as beside:
        beside.write_bytes(bitstream)
    write_text(out / BAKED, baked.model_dump_json(indent=2) + "\n")
    return baked


def _read(text: str, *, source: str) -> dict[int, Content]:
    try:
        return read_contents(text)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def _exchanged(configuration: str, old: str, new: str, *, cache: Path) -> bytes:
    """The configuration with the new image in the old one's place, by ecpbram."""
    inputs = {f"{NAME}.config": configuration.encode(), "old.hex": old.encode(), "new.hex": new.encode()}
    made = "baked.config"
    arguments = ["--input", f"{NAME}.config", "--output", made, "--from", "old.hex", "--to", "new.hex"]
    return (run_tool(ecpbram_run(arguments, inputs, (made,)), cache=cache) / made).read_bytes()


def _number(contents: dict[int, Content], marker: Content, folder: Path) -> int:
    found = [number for number, content in contents.items() if np.array_equal(content, marker)]
    if len(found) != 1:
        raise InputError(f"build {folder}: {MARKER} and {CONFIGURATION} do not belong together, expected one build's")
    return found[0]


def weights_digest(image: Image) -> str:
    """SHA-256 of an image, as hexadecimal digits."""
    return hashlib.sha256(image_text(image).encode()).hexdigest()


def read_baked(folder: Path) -> Baked:
    """The bitstream with weights in a folder.

    Raises:
        InputError: there is none.
    """
    return read_json(folder / BAKED, Baked, what="bitstream", expected="what `spikequant bake` writes")


def baked_contents(folder: Path, baked: Baked, tools: Tools, *, cache: Path) -> dict[str, Content]:
    """What the bitstream in a folder has in the block RAMs of the synapse memory, by the ends of their names.

    Raises:
        InputError: it is another bitstream, or has no such block RAMs.
        ToolError: it cannot be unpacked.
    """
    path = folder / BITSTREAM
    try:
        bitstream = path.read_bytes()
    except OSError as error:
        raise InputError(f"bitstream {path}: cannot read the file: {error.strerror}") from None
    if hashlib.sha256(bitstream).hexdigest() != baked.bitstream_sha256:
        raise InputError(f"bitstream {path}: is not the one that {BAKED} is about, expected them from one run")
    contents = read_contents(unpack_bitstream(bitstream, tools, cache=cache).decode())
    for name, number in baked.blocks.items():
        if number not in contents:
            raise InputError(f"bitstream {path}: has no block RAM {number}, expected {name} of {BAKED} there")
    return {name: contents[number] for name, number in baked.blocks.items()}
