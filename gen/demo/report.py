"""One self-contained HTML page from what a demo left behind."""

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
    """A file size for readers, in powers of 1000."""
    if count < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.5 or unit == "GB":
            break
    return f"{size:.3g} {unit}"


def render_report(record: DemoRecord, trace: SpikeTrace, *, folder: str = "") -> str:
    """The page as HTML, without a reference to anything outside of the demo's folder.

    Args:
        record: what the demo found out.
        trace: the token to show.
        folder: the demo's folder as seen from the page; empty if it lies in it, or ending in ``/``.
    """
    return page_template("gen", "report.html", bytes=_bytes).render(
        record=record,
        trace=trace,
        colours={"exciting": EXCITING, "inhibiting": INHIBITING, "salient": SALIENT},
        token_image=image_url(token_svg(trace, record.spec, inputs=record.inputs)),
        levels_image=image_url(levels_svg(trace)),
        links={file.path: quote(f"{folder}{file.path}") for file in record.files},
    )


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Render the report of a demo from the files that it left, and write it whole or not at all.

    Args:
        folder: the demo's.
        out: the page, ``report.html`` in the folder by default; links lead from there to the folder.

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
