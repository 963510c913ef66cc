"""The command ``spikequant``: every package brings its commands, and this puts them together."""

from pathlib import Path
from typing import Annotated

import typer

import spikequant.gen.commands.bake
import spikequant.gen.commands.cosim
import spikequant.gen.commands.demo
import spikequant.gen.commands.generate_text
import spikequant.gen.commands.golden_cli
import spikequant.gen.commands.run
import spikequant.gen.commands.synth
from spikequant.golden.support.command_line import MARKUP, run_app
from spikequant.golden.support.options import SpecName

app = typer.Typer(
    name="spikequant",
    help="Quantize a language model to spikes, generate the accelerator that runs it, and prove the two equal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
)


@app.command()
def generate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write spikequant.v and manifest.json to")],
    config: SpecName = "base",
) -> None:
    """Generate the accelerator as one plain Verilog file, with a manifest."""
    from rich.console import Console

    from spikequant.golden.layer.spec import load_spec
    from spikequant.rtl.manifest import write_generated

    spec = load_spec(config)
    console = Console(stderr=True)
    with console.status("generating Verilog"):
        manifest = write_generated(spec, out)
    size = (out / manifest["verilog"]["file"]).stat().st_size
    typer.echo(
        f"{out / manifest['verilog']['file']}: {spec.neurons} neurons x {spec.lanes} lanes, "
        f"{size / 1e6:.1f} MB, sha256 {manifest['verilog']['sha256'][:16]}"
    )


for package in (
    spikequant.gen.commands.golden_cli,
    spikequant.gen.commands.cosim,
    spikequant.gen.commands.synth,
    spikequant.gen.commands.bake,
    spikequant.gen.commands.demo,
    spikequant.gen.commands.generate_text,
    spikequant.gen.commands.run,
):
    package.add_commands(app)


def main() -> None:
    """Run the command line; bad input is one line on stderr and exit status 2."""
    run_app(app, name="spikequant")
