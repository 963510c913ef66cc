"""``make mutate``: how many small changes of the design the short regression notices."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.golden.support.command_line import run_command
from spikequant.golden.support.options import JsonFile

GOAL = 0.97
"""Share of the mutants that are not proved equivalent, which must be killed."""


def mutate(
    count: Annotated[int, typer.Option(metavar="N", min=1, help="mutants, or a few more")] = 520,
    seed: Annotated[int, typer.Option(help="of the choice of mutants")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="keep everything here; a later run goes on")] = Path(
        "build/mutation"
    ),
    seconds: Annotated[int, typer.Option(min=1, help="for a proof, in each part around a survivor")] = 60,
    json_file: JsonFile = None,
) -> None:
    """Change the design in small ways, and count how many changes the short regression notices.

    Survivors that are proved to do the same at the ports for ever, whatever comes in, are set aside. Exit status 0
    if at least 97 % of all others are noticed, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.table import Table

    from spikequant.cosim.mutation.campaign import figures, prepare, prove, simulate
    from spikequant.golden.support.files import check_writable, writable_folder
    from spikequant.golden.support.progress import progress_bar

    writable_folder(out)
    if json_file is not None:
        check_writable(json_file)
    console = Console(stderr=True)
    with console.status("choosing mutants and building their simulator"):
        campaign = prepare(count=count, seed=seed, seconds=seconds, folder=out)
    with progress_bar(console) as bar:
        task = bar.add_task("simulating", total=len(campaign.mutants))
        verdicts = simulate(campaign, progress=lambda done: bar.update(task, completed=done))
        survivors = [mutant for mutant in campaign.mutants if verdicts[mutant.number] == "survived"]
        task = bar.add_task("comparing survivors", total=len(survivors))
        proofs = prove(campaign, survivors, seconds=seconds, progress=lambda done: bar.update(task, completed=done))
    verdicts |= {mutant.number: "equivalent" for mutant in survivors if proofs[mutant.number]}

    found = figures(campaign.mutants, verdicts, seed=seed, goal=GOAL)
    table = Table(box=None, pad_edge=False)
    for name in ("component", "mutants", "killed", "by timing alone", "equivalent", "survived", "score"):
        table.add_column(name, justify="left" if name == "component" else "right")
    for name, row in [*found.components.items(), ("all", found)]:
        numbers = map(str, (row.mutants, row.killed, row.killed_by_timing, row.equivalent, row.survived))
        table.add_row(name, *numbers, f"{row.score:.1%}")
    Console().print(table)
    for mutant in found.survivors:
        typer.echo(f"survived: {mutant.number} {mutant.module} {mutant.change} {mutant.source}")
    found.write(json_file)
    if not found.ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(mutate, name="spikequant.gen.commands.mutate")
