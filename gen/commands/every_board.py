"""The command ``every-board``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.golden.support.options import CacheFolder, JsonFile


def every_board(
    boards: Annotated[
        list[str] | None, typer.Option("--board", metavar="NAME", help="which, may be repeated; all by default")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="PRESET|FILE", help="accelerator; each part's own preset by default", show_default=False),
    ] = None,
    frequency: Annotated[float, typer.Option(metavar="MHZ", min=0.001, help="clock of the accelerator")] = 60.0,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="place and route from seeds 1..N")] = 1,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="seeds at a time; as many as there are cores", show_default=False)
    ] = None,
    twice: Annotated[bool, typer.Option("--twice", help="build again without the cache, and compare")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="bitstreams and logs, a folder a board")] = Path(
        "build/boards"
    ),
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Make a bitstream for every board, each with the accelerator that is sized for its part.

    Finished builds are cached, so an interrupted run resumes. Exit status 0 if all timing is met and, with --twice,
    all second builds are the same; 1 if not; 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.boards import BOARDS, Board, find_board
    from spikequant.fpga.build.build import find_tools
    from spikequant.fpga.every_board import BoardsFigures, boards_table, build_boards, steps_per_board
    from spikequant.fpga.toolchain import usable_cores
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable, writable_folder
    from spikequant.golden.support.progress import progress_bar
    from spikequant.golden.support.store import default_cache_folder

    configs = {board: config or board.preset for board in map(find_board, boards or BOARDS)}
    for name in configs.values():
        load_spec(name)
    tools = find_tools()
    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    steps = steps_per_board(seeds, twice=twice)
    with progress_bar() as bar:
        task = bar.add_task("elaborating", total=steps * len(configs))

        def advance(board: Board, step: str) -> None:
            bar.update(task, advance=1, description=f"{board.name}: {step}")

        def keep(figures: BoardsFigures) -> None:
            bar.update(task, completed=len(figures.boards) * steps)
            figures.write(json_file)

        built = build_boards(
            configs,
            tools=tools,
            frequency_hz=frequency * 1e6,
            seeds=range(1, seeds + 1),
            jobs=jobs or usable_cores(),
            twice=twice,
            out=out,
            cache=cache or default_cache_folder(),
            progress=advance,
            keep=keep,
        )
    Console().print(boards_table(built))
    for one in built:
        if one.result.bitstream is None:
            typer.echo(f"timing: {one.result.plan.board.name}: {one.result.shortfall()}", err=True)
    if not all(one.ok for one in built):
        raise typer.Exit(1)
