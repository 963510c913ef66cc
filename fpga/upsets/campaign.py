"""A campaign of upsets: a random layer on a synthesized netlist, played once for each inverted bit.

An upset inverts one bit of a register or of a memory between two clock cycles of the run, as a particle does. It is
*masked* if all outputs are still right, *flagged* if the driver notices that something is wrong, and *silent* if the
outputs are wrong and nothing shows it.
"""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from spikequant.cosim.simulator.build import SimulationError, compile_model
from spikequant.fpga.build.netlist import netlist_sources
from spikequant.fpga.build.report import component_of
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, digest_of
from spikequant.rtl.driver.packets import CorruptedWeightsError, PacketError, RefusedPacketError, Words, parse_result
from spikequant.rtl.driver.program import LayerProgram, gather, layer_program
from spikequant.rtl.verilog import TOP

Kind = Literal["register", "lutram", "blockram"]
"""Kind of a state bit: a flip-flop, distributed memory in lookup tables, or block RAM."""

Effect = Literal["masked", "refused", "corrupted", "broken", "hang", "saturated", "silent"]
"""Effect of an upset.

``refused``: the accelerator refused a packet. ``corrupted``: it found weights with a wrong parity. ``broken``: a result
is not a packet. ``hang``: results stay away. ``saturated``: an output is marked as saturated that should not be. These
five are flagged.
"""

KINDS: dict[Kind, str] = {"register": "flip-flops", "lutram": "memory in lookup tables", "blockram": "block RAM"}

FLAGGED: tuple[Effect, ...] = ("refused", "corrupted", "broken", "hang", "saturated")

TOGETHER = 100
"""Upsets that one process of the simulator plays, and whose effects are stored together."""

TOKENS = 3

BENCH = ("upsets.vlt", "upsets.cpp")
"""Files of the bench, in this folder."""


class Upset(Figures):
    """An upset and its effect.

    Attributes:
        number: number of the upset; with the seed and the kind, it determines bit and cycle.
        bit: the bit, as CELL[ENTRY][BIT].
        cycle: clock cycle of the inversion, after the reset.
        effect: what came of it.
    """

    number: int
    bit: str
    cycle: int
    effect: Effect


class _Chunk(Figures):
    bits: int
    cycles: int
    upsets: list[Upset]


class KindFigures(Figures):
    """Upsets of one kind of state.

    Attributes:
        kind: kind of the bits.
        bits: number of bits; of block RAMs, those of rows that hold anything but zeros when the run ends.
        upsets: number of upsets.
        masked, flagged, silent: upsets by effect.
        flagged_as: flagged upsets by effect.
        silent_in: silent upsets by component, most first.
    """

    kind: Kind
    bits: int
    upsets: int
    masked: int
    flagged: int
    silent: int
    flagged_as: dict[str, int]
    silent_in: dict[str, int]


class UpsetFigures(Figures):
    """Figures of a campaign.

    Attributes:
        config: the accelerator's preset or file.
        seed: seed of the layer, the bits and the cycles.
        cycles: clock cycles of the run without an upset.
        kinds: figures by kind, without kinds that the netlist does not have.
    """

    config: str
    seed: int
    cycles: int
    kinds: list[KindFigures]


@dataclass(frozen=True)
class Campaign:
    """A netlist's simulator, a layer's packets, and the right outputs.

    Attributes:
        spec: the accelerator.
        program: the simulator.
        words: file with the packets.
        vectors: the layer.
        layer: its packets and the places of their results.
        expected: outputs of the golden model.
        seed: of layer, bits and cycles.
        folder: of stored effects.
        digest: of everything that the effects depend on.
    """

    spec: Spec
    program: Path
    words: Path
    vectors: LayerVectors
    layer: LayerProgram
    expected: LayerOutput
    seed: int
    folder: Path
    digest: str


def prepare(spec: Spec, *, seed: int, folder: Path, cache: Path) -> Campaign:
    """Synthesize an accelerator, build its simulator, and make the packets of a random layer.

    Args:
        spec: the accelerator.
        seed: of layer, bits and cycles.
        folder: of results, from which a later run resumes.
        cache: root of the cache of builds.

    Raises:
        InputError: a tool is missing, or the folder cannot be written.
        ToolError: synthesis failed.
        SimulationError: Verilator or the compiler failed.
    """
    bench = {name: Path(__file__).with_name(name).read_text("utf-8") for name in BENCH}
    sources = bench | netlist_sources(spec, "synth", cache=cache)
    built = compile_model("upsets", TOP, sources, cache=cache)
    outputs, inputs = 2 * spec.neurons, spec.depth + spec.depth // 2
    wide = inputs // 16 if spec.salient_bits else 0
    vectors = random_vectors(
        spec, outputs=outputs, inputs=inputs, tokens=TOKENS, wide=wide, max_shift=2, extremes=False, seed=seed
    )
    layer = layer_program(spec, vectors)
    words = [(place == len(packet) - 1, word) for packet in layer.packets for place, word in enumerate(packet)]
    packed = np.array(words, np.uint32).tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "packets.bin"
    file.write_bytes(packed)
    digest = digest_of([*(text for source in sources.items() for text in source), packed.hex(), str(seed)])
    return Campaign(spec, built / TOP, file, vectors, layer, run_layer(vectors, spec), seed, folder, digest)


def run_kind(
    campaign: Campaign, kind: Kind, count: int, *, progress: Callable[[int], None] = lambda _: None
) -> tuple[KindFigures, int]:
    """Play upsets of one kind, except those that an earlier run did.

    Args:
        campaign: from ``prepare``.
        kind: kind of the bits.
        count: number of upsets.
        progress: called with the number of finished upsets.

    Returns:
        Figures, and the clock cycles of the run without an upset.

    Raises:
        SimulationError: the simulator died, or the run without an upset does not give the golden model's outputs.
    """
    kept = ResultFolder(campaign.folder / "effects", _Chunk)
    chunks = []
    for first in range(0, count, TOGETHER):
        numbers = range(first, min(first + TOGETHER, count))
        name = f"{kind}-{numbers[0]}-{len(numbers)}"
        chunk = kept.find(name, campaign.digest)
        if chunk is None:
            chunk = _play(campaign, kind, numbers)
            kept.keep(name, campaign.digest, chunk)
        chunks.append(chunk)
        progress(numbers[-1] + 1)
    effects = Counter(upset.effect for chunk in chunks for upset in chunk.upsets)
    silent = Counter(
        component_of(upset.bit, below=f"TOP.{TOP}.")
        for chunk in chunks
        for upset in chunk.upsets
        if upset.effect == "silent"
    )
    figures = KindFigures(
        kind=kind,
        bits=chunks[0].bits,
        upsets=effects.total(),
        masked=effects["masked"],
        flagged=sum(effects[name] for name in FLAGGED),
        silent=effects["silent"],
        flagged_as={name: effects[name] for name in FLAGGED if effects[name]},
        silent_in=dict(silent.most_common()),
    )
    return figures, chunks[0].cycles


def _play(campaign: Campaign, kind: Kind, numbers: Sequence[int]) -> _Chunk:
    results = str(len(campaign.layer.places))
    command = [str(campaign.program), str(campaign.words), results, str(campaign.seed), kind]
    done = subprocess.run([*command, str(numbers[0]), str(len(numbers))], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SimulationError(f"the simulator of the upsets ended with status {done.returncode}: {done.stderr.strip()}")
    plain, *lines = (line.split() for line in done.stdout.splitlines())
    if effect_of(campaign, plain[3:], hang=False) != "masked":
        raise SimulationError("the netlist's outputs without an upset are not those of the golden model")
    upsets = [
        Upset(number=int(number), bit=bit, cycle=int(cycle), effect=effect_of(campaign, words, hang=end == "hang"))
        for number, bit, cycle, end, *words in lines
    ]
    return _Chunk(bits=int(plain[1]), cycles=int(plain[2]), upsets=upsets)


def _packets(words: Sequence[str]) -> Iterator[Words]:
    packet: list[int] = []
    for word in words:
        packet.append(int(word[1:], 16))
        if word[0] == "1":
            yield np.array(packet, np.uint32)
            packet = []


def effect_of(campaign: Campaign, words: Sequence[str], *, hang: bool) -> Effect:
    """Effect of an upset, from the words that came out, each a digit for the last of a packet and eight more."""
    results = []
    for packet in _packets(words):
        try:
            results.append(parse_result(campaign.spec, packet))
        except CorruptedWeightsError:
            return "corrupted"
        except RefusedPacketError:
            return "refused"
        except PacketError:
            return "broken"
    if hang:
        return "hang"
    found, expected = gather(campaign.vectors, campaign.layer.places, results), campaign.expected
    if (found.saturated & ~expected.saturated).any():
        return "saturated"
    right = (found.membrane == expected.membrane) & (found.code == expected.code)
    return "masked" if (right | expected.saturated).all() else "silent"
