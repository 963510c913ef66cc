"""The command ``zero-shot``."""

from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile, split_names
from spikequant.golden.support.errors import InputError

HARNESS = "lm-eval==0.4.13"
"""Requirement of the optional dependency, as in pyproject.toml."""


def zero_shot(
    model: Annotated[
        str, typer.Argument(metavar="MODEL_OR_DIR", help="a model as for quantize, or a folder that quantize wrote")
    ],
    tasks: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.yaml", help="task of lm-evaluation-harness, or a file with one; a list with commas"
        ),
    ],
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="documents to score of each task", show_default="all"),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Score a float or quantized model on tasks of lm-evaluation-harness, such as hellaswag or arc_easy.

    Tasks are those of the harness, unchanged. Most load their documents from the Hugging Face Hub; a file may name
    local ones. Needs the package lm-eval, an optional dependency.
    """
    from importlib.util import find_spec

    from spikequant.gen.output import check_output

    names = split_names(tasks)
    if not names:
        raise InputError("tasks: empty, expected names or files")
    if find_spec("lm_eval") is None:
        raise InputError(f"zero-shot: needs lm-evaluation-harness, install it: pip install {HARNESS}")
    check_output(json_file)

    from rich.console import Console
    from rich.table import Table

    from spikequant.gen.output import show_written
    from spikequant.golden.evaluation.harness import score_tasks

    result = score_tasks(model, names, limit=limit)
    result.write(json_file)
    table = Table("task", "metric", "value", "standard error", "documents", "examples", title=model)
    for score in result.scores:
        figures = (score.value, score.standard_error, score.documents, score.examples)
        table.add_row(score.task, score.metric, *("-" if figure is None else f"{figure:.4g}" for figure in figures))
    Console().print(table)
    show_written(json_file)
