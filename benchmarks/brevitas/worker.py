"""Run Brevitas's flow for language models, in its own environment, on tokens from a file.

    python worker.py JOB.json RESULT.json

It imports nothing of this project. The flow is Brevitas's own, ``quantize_llm`` with the options of its command line;
only the tokens that it calibrates on are ours, and the perplexity is computed here, as in ``spikequant eval``. Both
models read every text after the prefix, in calibration too.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accelerate.utils.operations import send_to_device
from brevitas.export.inference.manager import quant_inference_mode
from brevitas_examples.llm import main as flow
from brevitas_examples.llm.llm_args import create_args_parser
from brevitas_examples.llm.llm_quant import gpxq
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache


@torch.no_grad()
def attach_prefix(model: Any, tokens: list[int]) -> None:
    """Make a float model read every text after tokens, whose keys and values it computes; without any, do nothing.

    The keys and values stay as they are when the model is quantized afterwards.
    """
    if not tokens:
        return
    cached = model(input_ids=torch.tensor([tokens]), use_cache=True).past_key_values.layers
    states = [(layer.keys, layer.values) for layer in cached]

    def precede(_module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        mask = named["attention_mask"]
        mask = torch.cat([mask.new_ones(1, len(tokens)), mask], 1)
        return args, named | {"past_key_values": new_cache(), "use_cache": True, "attention_mask": mask}

    def renew(_module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, named | {"past_key_values": new_cache()}

    def new_cache() -> DynamicCache:
        return DynamicCache(states, config=model.config)

    model.register_forward_pre_hook(precede, with_kwargs=True)
    # the flow runs the inside of each block several times with the same arguments, and every run appends to its cache
    for block in model.model.layers:
        block.self_attn.register_forward_pre_hook(renew, with_kwargs=True)


def after_prefix(step: Callable[..., Any], tokens: list[int]) -> Callable[..., Any]:
    """A step of the flow that first attaches a prefix to its model."""

    @wraps(step)
    def changed(model: Any, *args: Any, **named: Any) -> Any:
        attach_prefix(model, tokens)
        return step(model, *args, **named)

    return changed


def quantize(folder: str, options: list[str], windows: list[list[int]], prefix: list[int]) -> Any:
    """The quantized model of Brevitas, which reads every text after a prefix.

    Args:
        folder: the float model.
        options: of Brevitas's command line.
        windows: calibration tokens.
        prefix: ids of tokens, or none.
    """
    data = [{"input_ids": [window]} for window in windows]
    # the flow reads its text from the network; block by block, it takes a GPU for granted
    flow.get_dataset_for_model = lambda **_: data
    gpxq.send_to_device = lambda value, _: send_to_device(value, "cpu")
    # the first step after rotations, which change the prefix's values; the model is in floats before it
    first = "apply_act_equalization" if "--act-equalization" in options else "layerwise_quantize"
    setattr(flow, first, after_prefix(getattr(flow, first), prefix))
    args, unknown = create_args_parser().parse_known_args(["--model", folder, *options])
    _, model = flow.quantize_llm(args, unknown)
    return model


def predict(model: Any, window: Tensor) -> tuple[Tensor, float]:
    """Logits [n - 1, vocabulary] of a window of n tokens, and tokens per second."""
    began = time.perf_counter()
    output = model(input_ids=window[None], attention_mask=torch.ones_like(window)[None])
    return output.logits[0, :-1].float(), window.numel() / (time.perf_counter() - began)


@torch.no_grad()
def score(model: Any, reference: Any, windows: list[list[int]]) -> dict[str, float]:
    """Sums over the scored tokens: losses of both models, divergence and equal predictions; and median speeds."""
    sums = {"loss": 0.0, "float_loss": 0.0, "divergence": 0.0, "agreed": 0.0, "tokens": 0.0}
    speeds, float_speeds = [], []
    for window in map(torch.tensor, windows):
        (expected, float_speed), (found, speed) = predict(reference, window), predict(model, window)
        speeds.append(speed)
        float_speeds.append(float_speed)
        sums["float_loss"] += float(nn.functional.cross_entropy(expected, window[1:], reduction="sum"))
        sums["loss"] += float(nn.functional.cross_entropy(found, window[1:], reduction="sum"))
        divergence = nn.functional.kl_div(
            found.log_softmax(-1), expected.log_softmax(-1), reduction="sum", log_target=True
        )
        sums["divergence"] += float(divergence)
        sums["agreed"] += float((found.argmax(-1) == expected.argmax(-1)).count_nonzero())
        sums["tokens"] += window.numel() - 1
    return {**sums, "speed": median(speeds), "float_speed": median(float_speeds)}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Quantize as a job says, and score all of its texts."""
    began = time.perf_counter()
    model = quantize(job["model"], job["options"], job["calibration"], job["prefix"])
    seconds = time.perf_counter() - began
    reference = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32).eval()
    attach_prefix(reference, job["prefix"])
    with torch.no_grad(), quant_inference_mode(model):
        # quantizers choose their form for inference in the first pass
        predict(model, torch.tensor(job["calibration"][0]))
        texts = {name: score(model, reference, windows) for name, windows in job["texts"].items()}
    return {"seconds": seconds, "texts": texts}


if __name__ == "__main__":
    result = run(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(result), "utf-8")
