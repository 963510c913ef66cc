"""The command ``tokens``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.gen.commands.options import (
    CacheFolder,
    JsonFile,
    TracedCheckpoint,
    TracedTokens,
    complete_board,
    fitting_preset,
    resident_memory,
)
from spikequant.golden.support.errors import InputError

BOARD_PANEL = "Budget of a board"
ARRAY_PANEL = "Comparison with the twin"

DEFAULT_MHZ = 60.0


def tokens(
    board: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="print a token's budget on this board, see `spikequant boards`",
            show_default=False,
            autocompletion=complete_board,
            rich_help_panel=BOARD_PANEL,
        ),
    ] = None,
    config: Annotated[str | None, fitting_preset(BOARD_PANEL)] = None,
    frequency: Annotated[
        float | None,
        typer.Option(
            metavar="MHZ",
            min=0.001,
            help="clock of the accelerator",
            show_default=f"{DEFAULT_MHZ:g}",
            rich_help_panel=BOARD_PANEL,
        ),
    ] = None,
    memory: Annotated[str | None, resident_memory(BOARD_PANEL)] = None,
    baud: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="bits per second on the serial line",
            show_default=str(DEFAULT_BAUD),
            rich_help_panel=BOARD_PANEL,
        ),
    ] = None,
    codes: Annotated[
        bool,
        typer.Option(
            "--codes/--membranes",
            help="layers return output codes, or exact membranes",
            rich_help_panel=BOARD_PANEL,
        ),
    ] = True,
    shape: Annotated[
        str,
        typer.Option(metavar="NAME", help="NEURONSxLANES[xCLUSTERS], or a preset", rich_help_panel=ARRAY_PANEL),
    ] = "max85",
    mhz: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="clock of the accelerator",
            show_default="median of the last benchmark on --part",
            rich_help_panel=ARRAY_PANEL,
        ),
    ] = None,
    twin_mhz: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="clock of its twin",
            show_default="likewise; the accelerator's if it was not routed",
            rich_help_panel=ARRAY_PANEL,
        ),
    ] = None,
    part: Annotated[
        str,
        typer.Option(metavar="NAME", help="part that the benchmark's clocks are for", rich_help_panel=ARRAY_PANEL),
    ] = "85F",
    figures: Annotated[
        Path, typer.Option(metavar="FILE", help="figures of the last benchmark", rich_help_panel=ARRAY_PANEL)
    ] = Path("build/benchmarks/benchmarks.json"),
    bandwidth: Annotated[
        float,
        typer.Option(
            metavar="MB/S",
            min=0.001,
            help="bandwidth of the memory; by default 16 bits at 120 MHz, at 96 % of the peak",
            rich_help_panel=ARRAY_PANEL,
        ),
    ] = 230.0,
    batches: Annotated[
        str, typer.Option(metavar="NUMBERS", help="comma-separated batch sizes", rich_help_panel=ARRAY_PANEL)
    ] = "1,4,16",
    checkpoint: TracedCheckpoint = None,
    traced: TracedTokens = 16,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Calculate tokens per second through all linear layers of the decoder.

    With --board, print what a token takes on a board: bytes, cycles and milliseconds of the serial line, of the memory
    and of the array, which of them binds, and the tokens per second that follow.

    Without, compare the accelerator with its multiply-accumulate twin, with weights on chip and from an external
    memory. Exit status 0, or 2 for bad input.
    """
    from spikequant.gen.output import check_output, show_written

    check_output(json_file)
    if board is not None:
        if mhz is not None or twin_mhz is not None:
            raise InputError("tokens: --mhz and --twin-mhz are for the comparison, expected --frequency with --board")
        _budget(
            board,
            config=config,
            frequency_hz=(frequency or DEFAULT_MHZ) * 1e6,
            memory=memory,
            baud=baud or DEFAULT_BAUD,
            codes=codes,
            checkpoint=checkpoint,
            traced=traced,
            cache=cache,
            json_file=json_file,
        )
    else:
        if any(option is not None for option in (config, frequency, memory, baud)):
            raise InputError("tokens: --config, --frequency, --memory and --baud are for a board, expected --board")
        _compare(
            shape,
            mhz=mhz,
            twin_mhz=twin_mhz,
            part=part,
            figures=figures,
            bandwidth=bandwidth,
            batches=batches,
            checkpoint=checkpoint,
            traced=traced,
            cache=cache,
            json_file=json_file,
        )
    show_written(json_file)


def _budget(
    name: str,
    *,
    config: str | None,
    frequency_hz: float,
    memory: str | None,
    baud: int,
    codes: bool,
    checkpoint: Path | None,
    traced: int,
    cache: Path | None,
    json_file: Path | None,
) -> None:
    """Print a token's budget on a board."""
    from rich.console import Console

    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.fpga.budget.figures import budget_figures, budget_tables
    from spikequant.fpga.budget.token import token_sites
    from spikequant.gen.board_choice import choose_board
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder

    chosen = choose_board(name, config=config, frequency_hz=frequency_hz, memory=memory, baud=baud, codes=codes)
    with progress_bar() as bar:
        task = bar.add_task("tracing real layers", total=None)
        traces = load_traces(checkpoint, tokens=traced, cache=cache or default_cache_folder())
        bar.update(task, description="counting")
        sites = token_sites(
            chosen.setup, traces.layers, progress=lambda done, of: bar.update(task, completed=done, total=of)
        )
    model = traced_model(traces, checkpoint, tokens=traced)
    found = budget_figures(chosen.setup, sites, board=chosen.board, config=chosen.config, model=model)
    found.write(json_file)
    Console().print(*budget_tables(found), sep="\n")


def _compare(
    shape: str,
    *,
    mhz: float | None,
    twin_mhz: float | None,
    part: str,
    figures: Path,
    bandwidth: float,
    batches: str,
    checkpoint: Path | None,
    traced: int,
    cache: Path | None,
    json_file: Path | None,
) -> None:
    """Print tokens per second of the accelerator and its twin."""
    from rich.console import Console

    from spikequant.benchmarks.rates import average_batch
    from spikequant.benchmarks.results import median_clock
    from spikequant.benchmarks.shapes import Array, parse_part, parse_shape
    from spikequant.benchmarks.tables import rate_table
    from spikequant.benchmarks.traces import load_traces, traced_model
    from spikequant.golden.layer.spec import PRESETS
    from spikequant.golden.support.files import write_json
    from spikequant.golden.support.store import default_cache_folder

    spec = PRESETS[shape] if shape in PRESETS else parse_shape(shape)
    device = parse_part(part)
    ours = mhz or median_clock(figures, spec, "spiking", device)
    if ours is None:
        raise InputError(f"{figures}: no clock of {shape} on the {device}, expected --mhz or a benchmark of it")
    clocks: dict[Array, float] = {
        "spiking": ours,
        "mac": twin_mhz or median_clock(figures, spec, "mac", device) or ours,
    }
    sizes = [text.strip() for text in batches.split(",")]
    if not all(size.isdecimal() and 0 < int(size) <= traced for size in sizes):
        raise InputError(f"batches {batches!r}: expected numbers from 1 to the {traced} traced tokens, comma-separated")
    console = Console(stderr=True)
    with console.status("tracing real layers"):
        traces = load_traces(checkpoint, tokens=traced, cache=cache or default_cache_folder())
    found = []
    for size in sizes:
        with console.status(f"counting batches of {size}"):
            found.append(average_batch(spec, traces.layers, int(size)))
    table, rates = rate_table(found, clocks, bandwidth=bandwidth * 1e6, shape=shape)
    Console().print(table)
    if json_file is not None:
        model = traced_model(traces, checkpoint, tokens=traced)
        heading = {"shape": shape, "clock_mhz": clocks, "bandwidth_mb_s": bandwidth, "model": model}
        write_json(json_file, heading | rates)
