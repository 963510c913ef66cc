"""Text that a float model writes itself, as in LLM-QAT (arXiv 2305.17888), to train its quantized form on.

Real text that is seen twice teaches little: its divergence falls on the second round, and that of other text hardly.
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
"""Tokens of real text that each window goes on from."""

LIKELIEST = 50
"""Each token is one of these, by its probability among them: a small model's tail is noise."""

TOGETHER = 160
"""Windows that are written at the same time."""

KEPT = "generated.safetensors"


def generate_windows(
    model: PreTrainedModel, windows: list[Tensor], count: int, *, seed: int, keep: Path
) -> list[Tensor]:
    """Windows that begin with some tokens of the given ones, at random places, and that the model goes on from there.

    What is done is kept after every few windows, and not written again.

    Args:
        model: a float model; a copy of it writes in bfloat16.
        windows: int64 [n] windows of real text, all of one length, 2 or more.
        count: windows to write.
        seed: of the choice of tokens.
        keep: folder for what is done.

    Returns:
        int64 [n] windows, as long as the real ones.
    """
    if not count:
        return []
    digest = digest_of([str(seed), digest_versions(), digest_windows(windows), digest_model(model)])
    file = find_tensors(keep / KEPT, digest)
    done = list(file.get_tensor("windows")) if file else []
    if len(done) >= count:
        return done[:count]
    writer = copy.deepcopy(model).bfloat16().eval()
    context = windows[0].numel()
    prompt = min(PROMPT_TOKENS, context - 1)
    for first in track(range(len(done), count, TOGETHER), "writing text"):
        generator = torch.Generator().manual_seed(seed + first)
        prompts = []
        for _ in range(min(TOGETHER, count - first)):
            window = windows[int(torch.randint(len(windows), (), generator=generator))]
            place = int(torch.randint(context - prompt + 1, (), generator=generator))
            prompts.append(window[place : place + prompt])
        done += _continued(writer, torch.stack(prompts), context - prompt, seed=seed + first)
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
