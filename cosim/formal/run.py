"""Concurrent proofs of many properties, and their table."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spikequant.cosim.formal.property import Property
from spikequant.cosim.formal.prove import Result, Tools, prove


def prove_all(
    claims: Sequence[Property],
    tools: Tools,
    *,
    folder: Path,
    jobs: int,
    fresh: bool = False,
    progress: Callable[[Property, Result], None] = lambda _claim, _result: None,
) -> list[Result]:
    """Prove properties; return their results in the same order.

    Args:
        claims: the properties.
        tools: the tools.
        folder: folder of results and waveforms.
        jobs: number of concurrent solvers.
        fresh: prove again what earlier runs proved.
        progress: called with each finished property.
    """
    results: dict[int, Result] = {}
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {
            pool.submit(prove, claim, tools, folder=folder, fresh=fresh): number for number, claim in enumerate(claims)
        }
        try:
            for done in as_completed(waiting):
                number = waiting[done]
                results[number] = done.result()
                progress(claims[number], results[number])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[number] for number in range(len(claims))]


def table_of(claims: Sequence[Property], results: Sequence[Result] | None = None) -> Table:
    """Return a table of properties, with results if there are any."""
    table = Table(box=None, pad_edge=False)
    table.add_column("property")
    if results is None:
        for claim in claims:
            table.add_row(_description(claim))
        return table
    table.add_column("result", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("cone", justify="right", no_wrap=True)
    for claim, result in zip(claims, results, strict=True):
        color = "green" if result.ok else "red"
        seconds = f"{result.seconds:.1f}{'*' if result.remembered else ''}"
        cone = f"{result.cone.share:.0%}" if result.cone and result.cone.bits else ""
        table.add_row(_description(claim), f"[{color}]{result.outcome}[/]", seconds, cone)
    return table


def _description(claim: Property) -> Group:
    """Return the name of a property with its description on the next lines, which is too long for one column."""
    text = f"{claim.component}: {claim.specification} ({claim.method})"
    return Group(claim.name, Padding(Text(text, style="dim"), (0, 0, 0, 2)))
