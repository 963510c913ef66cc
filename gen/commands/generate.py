"""The command ``generate``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import SpecName


def generate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write spikequant.v and manifest.json to")],
    config: SpecName = "base",
    testbench: Annotated[
        bool, typer.Option("--testbench", help="also write test benches for cocotb and for a simulator alone")
    ] = False,
) -> None:
    """Generate the accelerator as a single plain Verilog file, with a manifest.

    Beside them: packets.json describes the packets, spikequant.core is for FuseSoC, spikequant_litex.py for LiteX.
    """
    from rich.console import Console

    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec

    spec = load_spec(config)
    check_output(folder=out)

    from spikequant.gen.package.write import write_package
    from spikequant.rtl.manifest import write_generated

    with Console(stderr=True).status("generating Verilog"):
        manifest = write_generated(spec, out)
        package = write_package(spec, out, testbench=testbench)
    file = out / manifest["verilog"]["file"]
    typer.echo(
        f"{spec.neurons} neurons x {spec.lanes} lanes, {file.stat().st_size / 1e6:.1f} MB of Verilog, "
        f"sha256 {manifest['verilog']['sha256'][:16]}"
    )
    show_written(file, out / "manifest.json", *package)
