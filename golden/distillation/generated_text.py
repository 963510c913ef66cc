"""Training text that the float model generates itself, as in LLM-QAT (arXiv 2305.17888).

Repeated passes over real text overfit: the divergence on that text falls, and on other text hardly.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from spikequant.golden.support.digest import digest_model, digest_versions, digest_windows
from spikequant.golden.support.progress import track
from spikequant.golden.support.store import digest_of
from spikequant.golden.support.tensor_file import find_tensors, keep_tensors

PROMPT_TOKENS = 32
"""Tokens of real text at the start of each window."""

LIKELIEST = 50
"""Number of most probable tokens to sample from: the tail of a small model is noise."""

TOGETHER = 160
"""Windows that are generated at the same time."""

KEPT = "generated.safetensors"


def generate_windows(
    model: PreTrainedModel, windows: list[Tensor], count: int, *, starts: list[int], seed: int, keep: Path
) -> list[Tensor]:
    """Windows that begin with tokens from random places of the given ones, and that the model continues.

    Finished windows are stored after every ``TOGETHER`` of them, so that an interrupted run resumes.

    Args:
        model: a float model, which is copied to bfloat16.
        windows: int64 [n] windows of real text, all of one length, 2 or more.
        count: number of windows to generate.
        starts: ids that each window begins with.
        seed: of the random numbers.
        keep: folder of the finished windows.

    Returns:
        int64 [n] windows, as long as the real ones.
    """
    if not count:
        return []
    digest = digest_of([str(seed), str(starts), digest_versions(), digest_windows(windows), digest_model(model)])
    file = find_tensors(keep / KEPT, digest)
    done = list(file.get_tensor("windows")) if file else []
    if len(done) >= count:
        return done[:count]
    writer = copy.deepcopy(model).bfloat16().eval()
    context = windows[0].numel()
    first_ids = torch.tensor(starts, dtype=torch.int64)
    prompt = min(PROMPT_TOKENS, context - 1 - len(starts))
    for first in track(range(len(done), count, TOGETHER), "generating text"):
        generator = torch.Generator().manual_seed(seed + first)
        prompts = []
        for _ in range(min(TOGETHER, count - first)):
            window = windows[int(torch.randint(len(windows), (), generator=generator))]
            place = int(torch.randint(context - prompt + 1, (), generator=generator))
            prompts.append(torch.cat([first_ids, window[place : place + prompt]]))
        done += _continued(writer, torch.stack(prompts), context - len(starts) - prompt, seed=seed + first)
        keep_tensors(keep / KEPT, digest, {"windows": torch.stack(done)})
    return done


@torch.no_grad()
def _continued(writer: Any, prompts: Tensor, tokens: int, *, seed: int) -> list[Tensor]:
    how = GenerationConfig(
        do_sample=True,
        top_k=LIKELIEST,
        max_new_tokens=tokens,
        # no window ends early
        min_new_tokens=tokens,
        eos_token_id=writer.generation_config.eos_token_id,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        written = writer.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=how)
    return list(written)
