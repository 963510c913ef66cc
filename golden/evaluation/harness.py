"""Float and quantized models in lm-evaluation-harness, for zero-shot tasks.

The harness registers models in the process that runs it, so its own command line knows this one when it is started as
``python -m spikequant.golden.evaluation.harness run --model spikequant --model_args checkpoint=DIR --tasks NAME``.
"""

import logging
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.__main__ import cli_evaluate
from lm_eval.api.registry import register_model
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from spikequant.golden.checkpoint.checkpoint import is_checkpoint, load_checkpoint
from spikequant.golden.models.model import LanguageModel, load_model
from spikequant.golden.models.prefix import longest_text
from spikequant.golden.support.errors import InputError, one_line
from spikequant.golden.support.figures import Figures

YAML = ".yaml"

EXAMPLES_SEED = 1234
"""Seed of the choice of examples in a prompt, which is the default of the harness."""


class TaskScore(Figures):
    """A metric of a task, or of a group of tasks.

    Attributes:
        task: name of the task.
        metric: name of the metric, such as ``acc``, or ``acc_norm`` for likelihoods over lengths.
        filter: name of the filter of the answers; none in most tasks.
        value: of the metric.
        standard_error: of the value; None if the task does not define it.
        documents: number of documents scored; None for a group.
        examples: solved examples in a prompt; None for a group.
    """

    task: str
    metric: str
    filter: str
    value: float
    standard_error: float | None
    documents: int | None
    examples: int | None


class HarnessResult(Figures):
    """Scores of a model.

    Attributes:
        model: name of the model.
        harness_version: of lm-eval, on which prompts and metrics depend.
        limit: largest number of documents of each task; None for all.
        scores: every metric of every task and group.
    """

    model: str
    harness_version: str
    limit: int | None
    scores: list[TaskScore]


@register_model("spikequant")
class SpikeQuantLM(HFLM):
    """A float or quantized model for the harness.

    Args:
        checkpoint: a folder that ``quantize`` wrote, a float model as for ``load_model``, or a loaded model.
        batch_size: sequences at once. More than one are padded, which changes sums in floats by their order.
        max_length: tokens in a sequence; by default as many as the model takes after its prefix.
        unused: the device and the largest batch, which the harness passes to every model; this one runs on the CPU.

    Raises:
        InputError: no such model, or a tokenizer without any token to start a text.
    """

    def __init__(
        self,
        checkpoint: str | LanguageModel,
        batch_size: int | str | None = 1,
        max_length: int | None = None,
        **unused: object,  # noqa: ARG002 - its names are fixed by the harness
    ) -> None:
        language_model = _load(checkpoint) if isinstance(checkpoint, str) else checkpoint
        tokenizer = language_model.tokenizer
        if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
            raise InputError(f"model {language_model.name}: its tokenizer has no token to start a text with")
        super().__init__(
            pretrained=language_model.model,
            tokenizer=tokenizer,
            backend="causal",
            batch_size=batch_size or 1,
            max_length=max_length or longest_text(language_model.model),
        )


def _load(name: str) -> LanguageModel:
    folder = Path(name)
    return load_checkpoint(folder).language_model if is_checkpoint(folder) else load_model(name)


def score_tasks(model: str | LanguageModel, tasks: Sequence[str], *, limit: int | None = None) -> HarnessResult:
    """Run tasks of the harness.

    Args:
        model: as for ``SpikeQuantLM``.
        tasks: names of tasks, groups or tags of the harness, or YAML files with a task.
        limit: documents to score of each task; None for all.

    Raises:
        InputError: a task is unknown or cannot be loaded; or as ``SpikeQuantLM``.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    loaded = _load_tasks(tasks)
    for task in loaded["tasks"].values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=EXAMPLES_SEED)
    results = evaluate(lm=SpikeQuantLM(model), task_dict=loaded, limit=limit, log_samples=False)
    return HarnessResult(
        model=model if isinstance(model, str) else model.name,
        harness_version=version("lm_eval"),
        limit=limit,
        scores=list(_scores(results)),
    )


def _load_tasks(names: Sequence[str]) -> Any:
    files = [name for name in names if name.endswith(YAML)]
    # finding the harness's own tasks takes seconds
    manager = TaskManager(include_defaults=len(files) < len(names))
    for name in names:
        if name in files and not Path(name).is_file():
            raise InputError(f"task {name}: no such file")
        if name not in files and name not in manager.task_index:
            raise InputError(f"task {name}: unknown, expected one of `lm_eval ls tasks`, or a file {YAML}")
    try:
        return manager.load([str(Path(name).absolute()) if name in files else name for name in names])
    except Exception as error:
        raise InputError(f"task {', '.join(names)}: cannot load it: {one_line(error)}") from None


def _scores(results: Any) -> Iterator[TaskScore]:
    for task, values in results["results"].items():
        for key, value in values.items():
            metric, _, filter_name = key.partition(",")
            if not filter_name or metric.endswith("_stderr"):
                continue
            error = values.get(f"{metric}_stderr,{filter_name}")
            yield TaskScore(
                task=task,
                metric=metric,
                filter=filter_name,
                value=value,
                standard_error=error if isinstance(error, float) else None,
                documents=results["n-samples"].get(task, {}).get("effective"),
                examples=results["n-shot"].get(task),
            )


if __name__ == "__main__":
    cli_evaluate()
