"""A divergence on one screen."""

from rich.panel import Panel
from rich.table import Table

from spikequant.cosim.diagnosis.locate import Located


def divergence_panel(located: Located, *, layer: str) -> Panel:
    """Layer, token, neuron, tick, what was expected and what came, and where to look at it.

    Args:
        located: the divergence.
        layer: what the layer is called.
    """
    found = located.divergence
    table = Table.grid(padding=(0, 2))
    rows = [
        ("layer", layer),
        ("token", str(found.token)),
        ("neuron", str(found.neuron)),
        ("tick", "none" if found.tick is None else str(found.tick)),
        ("where", found.where),
        ("stage", found.stage),
        (f"{found.quantity}, expected", found.expected),
        (f"{found.quantity}, got", found.got),
    ]
    if located.waves is not None:
        cycle = "" if found.cycle is None else f", cycle {found.cycle}"
        rows.append(("waveform", f"{located.waves}{cycle}"))
        rows.append(("view", f"gtkwave {located.view}"))
    for name, value in rows:
        table.add_row(f"[bold]{name}[/bold]", value)
    return Panel(table, title="first divergence", expand=False)
