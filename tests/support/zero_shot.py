"""A multiple-choice task of local files, for lm-evaluation-harness."""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from spikequant.golden.models.model import LanguageModel

DOCUMENTS = [
    {"question": "the membrane adds", "choices": ["the weights", "of", "spikes that came"], "answer": 0},
    {"question": "the threshold", "choices": ["reads it out", "came", "adds the weights"], "answer": 2},
    {"question": "spikes", "choices": ["a", "the membrane", "and the threshold"], "answer": 1},
    {"question": "weights of the", "choices": ["it", "spikes, and", "out."], "answer": 1},
    {"question": "that came, and", "choices": ["the", "reads. out", "of the spikes"], "answer": 0},
]

TASK = """\
task: spikes
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
  cache_dir: {cache}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - metric: acc
  - metric: acc_norm
"""


def write_task(folder: Path) -> Path:
    """Write the task and its documents; the path of the task."""
    data, file = folder / "spikes.jsonl", folder / "spikes.yaml"
    data.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    file.write_text(TASK.format(data=data, cache=folder / "cache"))
    return file


def with_end_of_text(model: LanguageModel) -> LanguageModel:
    """The model, with a tokenizer that names a token to start a text with."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model.tokenizer.backend_tokenizer, unk_token="?", eos_token="?"
    )
    return LanguageModel(model.model, tokenizer, model.name)
