"""Options that several commands share, with completion of names in the shell."""

from collections.abc import Callable
from math import inf, isfinite, nan
from pathlib import Path
from typing import Annotated, Any

import typer

from spikequant.cosim.netlist import Stage
from spikequant.fpga.boards import BOARDS
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP
from spikequant.golden.layer.spec import PRESETS


def completion(names: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    """Completion of an option in the shell: the names that start with the typed text."""
    return lambda incomplete: [name for name in names() if name.startswith(incomplete)]


def split_names(text: str) -> list[str]:
    """Comma-separated names of an option, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _recipe_names() -> list[str]:
    from spikequant.golden.quantizer.recipe import RECIPES

    return list(RECIPES)


complete_preset = completion(lambda: list(PRESETS))
complete_board = completion(lambda: list(BOARDS))
complete_chip = completion(lambda: list(CHIPS))
complete_recipe = completion(_recipe_names)

SpecName = Annotated[
    str,
    typer.Option(
        metavar="PRESET|FILE",
        help="accelerator: a preset (see `spikequant presets`) or a TOML file",
        autocompletion=complete_preset,
    ),
]
BoardName = Annotated[
    str, typer.Option(metavar="NAME", help="board, see `spikequant boards`", autocompletion=complete_board)
]


def fitting_preset(panel: str | None = None) -> Any:
    """Option for an accelerator, by default the largest preset that fits the board; ``panel`` groups it in the help."""
    return typer.Option(
        metavar="PRESET|FILE",
        help="accelerator: a preset (see `spikequant presets`) or a TOML file",
        show_default="the largest preset that the board has room for",
        autocompletion=complete_preset,
        rich_help_panel=panel,
    )


def resident_memory(panel: str | None = None) -> Any:
    """Option for the SDRAM that keeps layers of a model; ``panel`` groups it in the help."""
    return typer.Option(
        metavar="CHIP|none",
        help="SDRAM in which as many layers stay as fit; the others' weights come over the line",
        show_default=f"{DEFAULT_CHIP} on a board with SDRAM",
        autocompletion=complete_chip,
        rich_help_panel=panel,
    )


JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures to this file")]
CacheFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="cache of builds; the user's cache folder by default", show_default=False),
]
PlotFile = Annotated[Path | None, typer.Option(metavar="FILE.png", help="write a plot to this file")]

CalibrationFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="calibration text; bundled Wikipedia articles by default")
]
CalibrationTokens = Annotated[
    int | None, typer.Option(metavar="N", help="tokens of calibration text", show_default="the recipe's")
]
RecipeName = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="recipe: a name (see `spikequant recipes`) or a TOML file",
        autocompletion=complete_recipe,
    ),
]

VectorsFile = Annotated[
    Path | None, typer.Option(metavar="IN.npz", help="integers of a layer and its tokens", show_default=False)
]
CheckpointFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="quantized model", show_default=False)]
LayerName = Annotated[
    str | None, typer.Option(metavar="NAME", help="layer of the model, such as model.layers.0.self_attn.k_proj")
]
LayerTokens = Annotated[int, typer.Option(metavar="T", min=1, help="tokens of real text to run through the layer")]
LayerText = Annotated[
    str | None,
    typer.Option(
        "--text",
        metavar="NAME|FILE",
        help="text for --checkpoint: wikipedia, news, sample, or a file; wikipedia if it is installed, else sample",
        show_default=False,
    ),
]
AllowSaturation = Annotated[
    bool, typer.Option("--allow-saturation", help="accept outputs whose membrane left its range")
]
NetlistStage = Annotated[
    Stage | None,
    typer.Option(help="simulate a netlist of ECP5 cells, after synthesis or after routing", show_default=False),
]

FASTEST = "max"
"""Value of ``FastestClockMHz`` for the fastest clock that meets timing."""


def _clock_mhz(value: str | float) -> float:
    """A clock in MHz; infinity for ``FASTEST``."""
    if value == FASTEST:
        return inf
    try:
        clock_mhz = float(value)
    except ValueError:
        clock_mhz = nan
    if not (isfinite(clock_mhz) and clock_mhz > 0):
        raise typer.BadParameter(f"{value!r} is no clock, expected MHz or {FASTEST}")
    return clock_mhz


FastestClockMHz = Annotated[
    float,
    typer.Option(
        metavar=f"MHZ|{FASTEST}",
        parser=_clock_mhz,
        help="clock of the accelerator, or the fastest that meets timing, by up to three times as many placements",
    ),
]
ClockMHz = Annotated[float, typer.Option(metavar="MHZ", min=0.001, help="clock of the accelerator")]
MemoryMHz = Annotated[float, typer.Option(metavar="MHZ", min=0.001, help="clock of the SDRAM")]
Chip = Annotated[str, typer.Option(metavar="CHIP", help="SDRAM chip", autocompletion=complete_chip)]
BoardMemory = Annotated[
    str | None,
    typer.Option(
        metavar="CHIP",
        help="read weights from the board's SDRAM, such as AS4C16M16SA-7",
        show_default=False,
        autocompletion=complete_chip,
    ),
]
Baud = Annotated[int, typer.Option(min=1, help="bits per second on the serial line")]
Seeds = Annotated[
    int, typer.Option(metavar="N", min=1, help="place and route with seeds 1 to N, and keep the best result")
]
Jobs = Annotated[int | None, typer.Option(metavar="N", min=1, help="seeds at a time", show_default="one per core")]
Workers = Annotated[int | None, typer.Option(metavar="N", min=1, help="worker processes", show_default="one per core")]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="run on this Dask cluster, such as tcp://host:8786", show_default=False),
]

TracedCheckpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="quantized model to trace; SmolLM2, quantized now, by default", show_default=False
    ),
]
TracedTokens = Annotated[int, typer.Option("--tokens", metavar="T", min=1, help="tokens of real text to trace")]
