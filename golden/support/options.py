"""Options that commands of several folders have."""

from pathlib import Path
from typing import Annotated

import typer

SpecName = Annotated[str, typer.Option(metavar="PRESET|FILE", help="preset, or TOML file with a spec")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures here")]
CacheFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="where results of earlier runs are", show_default=False)
]
