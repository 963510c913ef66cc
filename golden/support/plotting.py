"""Figures as image files, in the project's style."""

import base64
from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

INK = "#26323f"
MUTED = "#66737f"

STYLE: Mapping[RcKeyType, Any] = MappingProxyType(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": "#b8c2cc",
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "grid.color": "#e4e9ee",
        "svg.fonttype": "path",
        # equal plots make equal files
        "svg.hashsalt": "spikequant",
    }
)

COLOURS = ("#1f5fa8", "#d1495b", "#e0a526", "#2f8f4e", "#7b4fa3", "#0b7a75", "#8a5a2b")


def drawn(
    draw: Callable[[Figure], None],
    *,
    width: float,
    height: float,
    kind: Literal["png", "svg"] = "png",
    dots: float = 140,
    style: Mapping[RcKeyType, Any] = STYLE,
) -> bytes:
    """An image of a figure; equal drawings make equal bytes.

    Args:
        draw: draws on the empty figure.
        width: width of the figure, in inches.
        height: height of the figure, in inches.
        kind: file format.
        dots: resolution of a PNG and of pixel images in an SVG, in dots per inch.
        style: matplotlib's settings.
    """
    content = BytesIO()
    with mpl.rc_context(dict(style)):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        metadata = {"Date": None, "Creator": None} if kind == "svg" else None
        figure.savefig(content, format=kind, dpi=dots, metadata=metadata)
    return content.getvalue()


def image_url(svg: bytes) -> str:
    """An SVG file as a data URL: a separate image, so that identifiers of two cannot clash."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
