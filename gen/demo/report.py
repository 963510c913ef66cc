"""Report of a demo: a self-contained HTML page, rendered from the demo's files."""

import os
from pathlib import Path
from urllib.parse import quote

from spikequant.gen.demo.record import DemoRecord, load_record
from spikequant.gen.demo.spike_plots import EXCITING, INHIBITING, SALIENT, levels_svg, token_svg
from spikequant.gen.demo.spike_trace import SpikeTrace, load_trace
from spikequant.golden.support.files import write_text
from spikequant.golden.support.page import page_template
from spikequant.golden.support.plotting import image_url

REPORT = "report.html"
"""Name of the page in a demo's folder."""


def _bytes(count: int) -> str:
    """A file size with its unit, in powers of 1000."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5 or unit == "GB":
            break
    return f"{size:.3g} {unit}"


def render_report(record: DemoRecord, trace: SpikeTrace, *, folder: str = "") -> str:
    """Render the page as HTML, without references to anything outside of the demo's folder.

    Args:
        record: of the demo.
        trace: of the token to show.
        folder: path from the page to the demo's folder, ending in ``/``; empty for a page inside it.
    """
    return page_template("spikequant.gen.demo", "report.html", bytes=_bytes).render(
        record=record,
        trace=trace,
        colours={"exciting": EXCITING, "inhibiting": INHIBITING, "salient": SALIENT},
        token_image=image_url(token_svg(trace, record.spec, inputs=record.inputs)),
        levels_image=image_url(levels_svg(trace)),
        links={file.path: quote(f"{folder}{file.path}") for file in record.files},
    )


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Render the report of a demo from its files, and write it whole or not at all.

    Args:
        folder: the demo's folder.
        out: the page, ``report.html`` in the folder by default; its links are relative to the page.

    Returns:
        The page.

    Raises:
        InputError: the folder holds no demo, or the page cannot be written.
    """
    record, trace = load_record(folder), load_trace(folder)
    page = folder / REPORT if out is None else out
    there = os.path.relpath(folder, page.parent)
    write_text(page, render_report(record, trace, folder="" if there == "." else f"{Path(there).as_posix()}/"))
    return page
