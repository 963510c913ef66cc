"""The command ``generate``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import SpecName
from spikequant.rtl.style import PRIMITIVES, Style


def generate(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="folder to write spikequant.v, spikequant.vlt and manifest.json to")
    ],
    config: SpecName = "base",
    style: Annotated[
        Style,
        typer.Option(help="; ".join(f"{style}: {what}" for style, what in PRIMITIVES.items())),
    ] = Style.PORTABLE,
    testbench: Annotated[
        bool, typer.Option("--testbench", help="also write test benches for cocotb and for a simulator alone")
    ] = False,
) -> None:
    """Generate the accelerator as a single plain Verilog file, with waivers for Verilator's lint and a manifest.

    Beside them: packets.json describes the packets, spikequant.core is for FuseSoC, spikequant_litex.py for LiteX.
    """
    from rich.console import Console

    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.errors import InputError

    if testbench and style is not Style.PORTABLE:
        raise InputError(
            f"--testbench: simulators have no models of the primitives of --style {style}, expected portable"
        )
    spec = load_spec(config)
    check_output(folder=out)

    from spikequant.gen.package.write import write_package
    from spikequant.rtl.manifest import write_generated

    with Console(stderr=True).status("generating Verilog"):
        manifest = write_generated(spec, out, style)
        package = write_package(spec, out, waivers=manifest["waivers"], testbench=testbench)
    file = out / manifest["verilog"]["file"]
    typer.echo(
        f"{spec.neurons} neurons x {spec.lanes} lanes, {file.stat().st_size / 1e6:.1f} MB of Verilog, "
        f"sha256 {manifest['verilog']['sha256'][:16]}"
    )
    show_written(file, out / manifest["waivers"], out / "manifest.json", *package)
