"""Divergence as a panel for the terminal."""

from rich.panel import Panel
from rich.table import Table

from spikequant.cosim.diagnosis.locate import Located


def divergence_panel(located: Located, *, layer: str) -> Panel:
    """Return a panel with layer, token, neuron, tick, expected and actual value, and the files to open.

    Args:
        located: the divergence.
        layer: name of the layer.
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
