"""The command ``mutate``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile
from spikequant.golden.support.command_line import FAILED, resumable

GOAL = 0.97
"""Fraction of the mutants not proved equivalent that the regression must kill."""


@resumable("finished simulations and proofs are kept in --out")
def mutate(
    count: Annotated[int, typer.Option(metavar="N", min=1, help="least number of mutants")] = 520,
    seed: Annotated[int, typer.Option(help="seed of the choice of mutants")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder for results; a later run resumes from them")] = Path(
        "build/mutation"
    ),
    seconds: Annotated[
        int, typer.Option(min=1, help="time limit of an equivalence proof, for each part around a survivor")
    ] = 60,
    json_file: JsonFile = None,
) -> None:
    """Mutation testing: plant small changes in the design, and count those that the short regression detects.

    Survivors that are proved equivalent at the ports for all inputs are not counted. Exit status 0 if at least 97 % of
    the others are detected, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.table import Table

    from spikequant.cosim.mutation.campaign import figures, prepare, prove, simulate
    from spikequant.gen.output import check_output, show_written
    from spikequant.gen.signoff.evidence import write_evidence
    from spikequant.golden.support.progress import progress_bar

    check_output(json_file, folder=out)
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
    write_evidence(found, json_file)
    show_written(out, json_file)
    if not found.ok:
        raise typer.Exit(FAILED)
