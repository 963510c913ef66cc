"""The command ``families``."""

from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, JsonFile, SpecName, split_names
from spikequant.golden.support.command_line import FAILED


def families(
    config: SpecName = "tiny",
    family: Annotated[str, typer.Option(metavar="NAME,...", help="device families")] = "ecp5,nexus,gowin,ice40,xilinx",
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Synthesize the portable Verilog with Yosys for several device families, and print their cells.

    Exit status 0 if the memories are in block RAM on every family, 1 if not, 2 for bad input.
    """
    from rich.console import Console

    from spikequant.benchmarks.families import FamiliesFigures, families_table, find_families, synthesize_family
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.store import default_cache_folder
    from spikequant.rtl.verilog import generate_verilog

    spec = load_spec(config)
    names = find_families(split_names(family))
    check_output(json_file)
    found = []
    with Console(stderr=True).status("generating Verilog") as status:
        verilog = generate_verilog(spec)
        for name in names:
            status.update(f"synthesizing for {name}")
            found.append(synthesize_family(verilog, name, cache=cache or default_cache_folder()))
    figures = FamiliesFigures(config=config, families=found)
    write_evidence(figures, json_file)
    Console().print(families_table(figures))
    show_written(json_file)
    if not figures.ok:
        raise typer.Exit(FAILED)
