"""HTML page of a model's co-simulation, in one self-contained file."""

from pathlib import Path

from spikequant.cosim.whole_model import ModelFigures
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.files import write_text
from spikequant.golden.support.page import page_template


def write_page(path: Path, figures: ModelFigures, *, spec: Spec, model: str) -> None:
    """Write the page, whole or not at all.

    Args:
        path: path of the page.
        figures: the co-simulation.
        spec: the accelerator.
        model: the model's name.
    """
    longest = max((layer.cycles for layer in figures.per_layer), default=1)
    template = page_template("spikequant.cosim", "model.html")
    write_text(path, template.render(figures=figures, spec=spec, model=model, longest=longest))
