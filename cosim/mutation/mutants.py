"""Mutants of the design, made by Yosys: all in one netlist, with an input that selects one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.yosys import run_yosys
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.verilog import TOP

CHOICE, CHOICE_BITS = "mutant", 16
"""Input that selects a mutant by its number, and its width; 0 selects the unchanged design."""

COMPONENTS: Mapping[str, str] = {
    "array": r"array$",
    "array, charge buffer": r"array\.buffer(\..*)?$",
    "array, adders": r"array\.(group_\d|reference|population)\.((current|charge)_adder|sums)_[\d_$]+$",
    "array, integrators": r"array\.(group_\d|reference|population)$",
    "array, synapses": r"array\.synapses(\..*)?$",
    "back end": r"backend$",
    "back end, completion": r"backend\.completion(\..*)?$",
    "back end, neurons": r"backend\.neurons(\..*)?$",
    "back end, packer": r"backend\.packer(\..*)?$",
    "back end, read-out": r"backend\.readout(\..*)?$",
    "cluster": r"cluster_\d$",
    "copies of signals": r"(_copy|control_\d+)$",
    "encoder": r"encoder$",
    "encoder, buckets": r"bucket_\d(\..*)?$",
    "encoder, collectors": r"pair_\d$",
    "encoder, decoder": r"decoder(\..*)?$",
    "encoder, score writer": r"encoder\.writer$",
    "queues and stages": r"(incoming|outgoing|stage|packets|runs|granted|judged)(\.queue)?$",
    "reader": r"reader$",
    "sequencer": r"sequencer(\..*)?$",
    "turns": r"turns$",
    "top": rf"^{TOP}$",
    "writer": rf"{TOP}\.writer$",
}
"""Components, with regular expressions for their modules."""

DESIGN = "design.il"
MUTATED = "mutated.v"


@dataclass(frozen=True)
class Mutant:
    """A mutant.

    Attributes:
        number: value of the selecting input, from 1 on.
        component: key in ``COMPONENTS``.
        module: changed module.
        change: Yosys's name of the change and of the changed object.
        source: file and line of the changed object, if known.
        command: Yosys command that makes the change.
    """

    number: int
    component: str
    module: str
    change: str
    source: str
    command: str


def design_of(spec: Spec) -> str:
    """Return the accelerator as RTLIL, with source lines relative to the package."""
    return rtlil.convert(Accelerator(spec), name=TOP, emit_src=True).replace(f"{Path(__file__).parents[2]}/", "")


def module_names(design: str) -> list[str]:
    """Return the names of all modules of a design in RTLIL."""
    return [name.removeprefix("\\") for name in re.findall(r"^module (\S+)", design, re.MULTILINE)]


def escaped(name: str) -> str:
    """Escape a module's name as a pattern that matches only this name."""
    return re.sub(r"([$\[\]*?])", r"\\\1", name)


# the simulator initializes memories with zeros
PREPARE = f"read_rtlil {DESIGN}\nhierarchy -check -top {TOP}\ndelete t:$meminit_v2\nproc\nopt_clean\n"


def choose_mutants(design: str, *, count: int, seed: int, folder: Path) -> list[Mutant]:
    """Choose mutants, equally many of each component where it has enough.

    Args:
        design: the accelerator as RTLIL.
        count: least number of mutants.
        seed: seed of the choice.
        folder: working directory.

    Raises:
        YosysError: Yosys failed.
    """
    (folder / DESIGN).write_text(design, encoding="utf-8")
    modules = module_names(design)
    each = -(-count // len(COMPONENTS))
    script = PREPARE
    for place, pattern in enumerate(COMPONENTS.values()):
        own = [name for name in modules if re.search(pattern, name)]
        chosen = " ".join(escaped(name) for name in own)
        script += f"mutate -list {each} -seed {seed + place} -o list_{place} {chosen}\n"
    run_yosys(find_tools().path("yosys"), script, folder)
    mutants: list[Mutant] = []
    for place, component in enumerate(COMPONENTS):
        for line in (folder / f"list_{place}").read_text(encoding="utf-8").splitlines():
            mutants.append(_mutant(len(mutants) + 1, component, line))
    return mutants


def _mutant(number: int, component: str, line: str) -> Mutant:
    options = dict(re.findall(r"-(\w+) (\S+)", line))
    sources = re.findall(r"-src \S*?((?:rtl|amaranth)/\S+?:\d+)", line)
    change = " ".join(
        f"{name} {options[name]}" for name in ("mode", "cell", "port", "portbit", "ctrlbit", "wire") if name in options
    )
    command = re.sub(r"^mutate", f"mutate -ctrl {CHOICE} {CHOICE_BITS} {number}", line)
    return Mutant(number, component, options["module"].removeprefix("\\"), change, " ".join(sources), command)


def write_mutated(mutants: Iterable[Mutant], folder: Path) -> None:
    """Write the design with all mutants, and the input that selects one, as Verilog.

    Args:
        mutants: all mutants.
        folder: working directory of ``choose_mutants``, in which ``MUTATED`` is written.

    Raises:
        YosysError: Yosys failed.
    """
    commands = "\n".join(mutant.command for mutant in mutants)
    script = f"{PREPARE}{commands}\nwrite_verilog -noattr {MUTATED}\n"
    run_yosys(find_tools().path("yosys"), script, folder)
