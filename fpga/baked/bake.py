"""Insertion of weights into a finished bitstream with ecpbram, without synthesis, placement or routing.

The bitstream is built with random weights, the marker, by which ecpbram identifies the block RAMs. The build's folder
keeps the marker and the configuration that the bitstream was packed from.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ConfigDict

from spikequant.fpga.baked.ecpbram import ecpbram_run
from spikequant.fpga.baked.image import Image, block_contents, image_shape, image_text, read_image
from spikequant.fpga.build.block_contents import Content, read_contents
from spikequant.fpga.build.build import BITSTREAM, NAME, Plan, Tools, pack, unpack_bitstream
from spikequant.fpga.toolchain import ToolError, run_tool
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import read_text, replace_file, write_text

BAKEABLE = "bakeable.json"
CONFIGURATION = "spikequant.config"
MARKER = "weights.hex"
"""Names of the files in a build's folder."""

BAKED = "baked.json"
"""Name of the description of a bitstream with weights, in the same folder."""

MARKER_SEED = 1


class Bakeable(Figures):
    """A build that takes weights.

    Attributes:
        board: name of its board.
        spec: spec of its accelerator.
        pack: arguments of ecppack.
    """

    model_config = ConfigDict(extra="forbid")

    board: str
    spec: Spec
    pack: tuple[str, ...]


class Baked(Figures):
    """A bitstream with weights.

    Attributes:
        board: name of its board.
        spec: spec of its accelerator.
        layer: name of the layer.
        weights_sha256: digest of the image of the synapse memory, as text.
        bitstream_sha256: digest of the bitstream.
        blocks: number in the bitstream of each block RAM of the synapse memory, by the end of its cell's name.
    """

    model_config = ConfigDict(extra="forbid")

    board: str
    spec: Spec
    layer: str
    weights_sha256: str
    bitstream_sha256: str
    blocks: dict[str, int]


@dataclass(frozen=True)
class Marker:
    """Random weights, reproducible for a spec; the row that lanes without a spike read is zero.

    Attributes:
        spec: spec of the accelerator.
        image: the weights.
    """

    spec: Spec
    image: Image

    @property
    def contents(self) -> dict[str, Content]:
        """Contents of each block RAM by the end of its cell's name."""
        return block_contents(self.spec, self.image)


def make_marker(spec: Spec, *, cache: Path) -> Marker:
    """Make the marker of a spec.

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
    """Write the files that ``bake`` needs to a build's folder; ``BAKEABLE`` last, since it marks them as complete."""
    build = Bakeable(board=plan.board.name, spec=marker.spec, pack=tuple(plan.commands["ecppack"]))
    _write_bytes(folder / CONFIGURATION, configuration)
    write_text(folder / MARKER, image_text(marker.image))
    build.write(folder / BAKEABLE)


def _write_bytes(path: Path, content: bytes) -> None:
    with replace_file(path) as fresh:
        fresh.write_bytes(content)


def read_bakeable(folder: Path) -> Bakeable:
    """Read the build in a folder.

    Raises:
        InputError: it takes no weights.
    """
    return Bakeable.read(folder / BAKEABLE, what="build", expected="what `spikequant synth --bakeable` writes")


def bake(folder: Path, image: Image, *, layer: str, tools: Tools, out: Path, cache: Path) -> Baked:
    """Put weights into a build's bitstream, and check its block RAMs by unpacking it.

    Args:
        folder: folder of the build.
        image: image of the weights.
        layer: name of the layer.
        tools: tools of the build.
        out: folder for the bitstream.
        cache: root of the cache.

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
        raise ToolError(f"ecpbram: {packed} has other weights than expected", console="")

    baked = Baked(
        board=build.board,
        spec=build.spec,
        layer=layer,
        weights_sha256=weights_digest(image),
        bitstream_sha256=hashlib.sha256(bitstream).hexdigest(),
        blocks=blocks,
    )
    (out / BAKED).unlink(missing_ok=True)
    _write_bytes(out / BITSTREAM, bitstream)
    baked.write(out / BAKED)
    return baked


def _read(text: str, *, source: str) -> dict[int, Content]:
    try:
        return read_contents(text)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def _exchanged(configuration: str, old: str, new: str, *, cache: Path) -> bytes:
    """Replace the old image in a configuration by the new one, with ecpbram."""
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
    """Read the description of the bitstream with weights in a folder.

    Raises:
        InputError: there is none.
    """
    return Baked.read(folder / BAKED, what="bitstream", expected="what `spikequant bake` writes")


def baked_contents(folder: Path, baked: Baked, tools: Tools, *, cache: Path) -> dict[str, Content]:
    """Contents of the synapse memory's block RAMs in a folder's bitstream, by the ends of their names.

    Raises:
        InputError: the bitstream is not the described one, or has no such block RAMs.
        ToolError: it cannot be unpacked.
    """
    path = folder / BITSTREAM
    try:
        bitstream = path.read_bytes()
    except OSError as error:
        raise InputError(f"bitstream {path}: cannot read the file: {error.strerror}") from None
    if hashlib.sha256(bitstream).hexdigest() != baked.bitstream_sha256:
        raise InputError(f"bitstream {path}: does not match {BAKED}, expected both from one run")
    contents = read_contents(unpack_bitstream(bitstream, tools, cache=cache).decode())
    for name, number in baked.blocks.items():
        if number not in contents:
            raise InputError(f"bitstream {path}: has no block RAM {number}, expected {name} of {BAKED}")
    return {name: contents[number] for name, number in baked.blocks.items()}
