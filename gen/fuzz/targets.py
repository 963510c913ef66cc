"""Fuzzing targets: readers of bytes, which may raise only the errors that they declare."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spikequant.golden.layer.spec import PRESETS, Spec, load_spec
from spikequant.golden.layer.vectors import load_vectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.packet_model import PacketModel, UnspecifiedError
from spikequant.rtl.driver.packets import PacketError, Words, parse_result

SPEC = Spec(neurons=8, lanes=2, depth=16, membrane_slots=3)
"""Spec of all vectors and packets."""


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        file: name of the file for the bytes.
        read: reads the file, and raises only the errors below.
        samples: returns inputs to start from, at least one of them valid.
    """

    file: str
    read: Callable[[Path], object]
    samples: Callable[[], list[bytes]]


DECLARED = (InputError, PacketError, UnspecifiedError)
"""Errors for bad input, for a bad packet of the accelerator, and for a packet without a specified meaning."""


def _recipe(path: Path) -> object:
    from spikequant.golden.quantizer.recipe import load_recipe

    return load_recipe(str(path))


def _sweep(path: Path) -> object:
    from spikequant.gen.sweep.plan import load_plan

    return load_plan(str(path)).specs()


def _layer_vectors() -> list[bytes]:
    from spikequant.golden.layer.random_layers import random_vectors
    from spikequant.golden.layer.vectors import save_vectors

    found = []
    for wide in (0, 2):
        vectors = random_vectors(SPEC, outputs=3, inputs=5, tokens=2, wide=wide, salient_fraction=0.3, seed=1)
        with TemporaryDirectory() as folder:
            save_vectors(Path(folder) / "in.npz", vectors)
            found.append((Path(folder) / "in.npz").read_bytes())
    plain = io.BytesIO()
    np.savez(plain, w_code=np.zeros((2, 2), np.uint8))
    return [*found, plain.getvalue()]


def _tensors(path: Path) -> object:
    from spikequant.golden.checkpoint.checkpoint import read_tensors
    from spikequant.golden.checkpoint.layers import LayerFacts, TensorReader
    from spikequant.golden.quantizer.site import Site

    site = Site(median=0.0, threshold=1.0, scale=0.1, zero=7)
    facts = LayerFacts(site="site", inputs=5, outputs=4, weight_bits=4, output_scale=1.0)
    return TensorReader(path, read_tensors(path)).layer("it", facts, site)


def _tensor_files() -> list[bytes]:
    import torch
    from safetensors.torch import save

    parts = {
        "codes": torch.ones(4, 3, dtype=torch.uint8),
        "zeros": torch.full((4,), 7, dtype=torch.uint8),
        "scales": torch.ones(4),
        "output_exponents": torch.zeros(4, dtype=torch.uint8),
    }
    wide = {"wide": torch.tensor([1], dtype=torch.int32), "low": torch.ones(4, 1, dtype=torch.uint8)}
    return [
        save({f"it.{name}": tensor for name, tensor in kind.items()})
        for kind in (parts, {**parts, **wide}, {**parts, "bias": torch.zeros(4)})
    ]


def _description(path: Path) -> object:
    from spikequant.golden.checkpoint.description import check_files, read_description

    description = read_description(path.parent)
    check_files(path.parent, description)
    return description


def _descriptions() -> list[bytes]:
    from spikequant.golden.checkpoint.description import FORMAT_VERSION, TENSORS, Description
    from spikequant.golden.checkpoint.layers import LayerFacts
    from spikequant.golden.quantizer.recipe import RECIPES
    from spikequant.golden.quantizer.site import Site

    site = Site(median=0.0, threshold=1.0, scale=0.1, zero=7)
    description = Description(
        format_version=FORMAT_VERSION,
        name="it",
        calibration="none",
        training="",
        recipe=RECIPES["fast"],
        config={"model_type": "llama"},
        sites={"site": site},
        layers={"it": LayerFacts(site="site", inputs=5, outputs=4, weight_bits=4, output_scale=1.0)},
        files={TENSORS: "0" * 64},
    )
    return [description.model_dump_json().encode()]


def _gguf(path: Path) -> object:
    from spikequant.golden.models.model import load_model

    return load_model(str(path))


def _gguf_files() -> list[bytes]:
    from gguf import GGUFWriter

    with TemporaryDirectory() as folder:
        path = Path(folder) / "it.gguf"
        writer = GGUFWriter(path, "llama")
        writer.add_block_count(1)
        writer.add_context_length(8)
        writer.add_embedding_length(8)
        writer.add_feed_forward_length(8)
        writer.add_head_count(1)
        writer.add_head_count_kv(1)
        writer.add_rope_dimension_count(8)
        writer.add_vocab_size(3)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(["a", "b", "ab"])
        writer.add_token_types([1, 1, 1])
        writer.add_token_merges(["a b"])
        writer.add_tensor("token_embd.weight", np.ones((3, 8), np.float32))
        for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
            writer.add_tensor(f"{name}.weight", np.ones(8, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
            writer.add_tensor(f"blk.0.{name}.weight", np.ones((8, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return [path.read_bytes()]


def _words(content: bytes) -> Words:
    return np.frombuffer(content[: len(content) // 4 * 4], "<u4").astype(np.uint32)


def _result(path: Path) -> object:
    return parse_result(SPEC, _words(path.read_bytes()))


def _results() -> list[bytes]:
    from spikequant.rtl.packet_sizes import result_words

    found = []
    for brief in (False, True):
        words = np.zeros(result_words(SPEC, brief=brief), "<u4")
        words[0] = 5 | brief << 5
        found.append(words.tobytes())
    return found


def _packets(path: Path) -> object:
    """Play a sequence of packets, each preceded by its number of words."""
    words, model = _words(path.read_bytes()), PacketModel(SPEC)
    found, place = [], 0
    while place < len(words):
        end = place + 1 + min(int(words[place]), len(words))
        if end > place + 1:
            found.append(model.take(words[place + 1 : end]))
        place = end
    return found


def _programs() -> list[bytes]:
    from random import Random

    from spikequant.cosim.random.programs import random_program

    found = []
    for seed in range(3):
        parts = [
            part
            for packet in random_program(SPEC, Random(seed), steps=4)
            for part in (np.array([len(packet)], np.uint32), packet)
        ]
        found.append(np.concatenate(parts).astype("<u4").tobytes())
    return found


TARGETS: Mapping[str, Target] = {
    "spec": Target(
        "input.toml",
        lambda path: load_spec(str(path)),
        lambda: [b'preset = "tiny"\nlanes = 4\nreadout = "ramp"\noutput_bits = 5\n', *(p.encode() for p in PRESETS)],
    ),
    "recipe": Target(
        "input.toml",
        _recipe,
        lambda: [b'preset = "fast"\ncorrect_bias = true\n[weights]\nwide_fraction = 0.03\ngptq = ["o"]'],
    ),
    "sweep": Target(
        "input.toml",
        _sweep,
        lambda: [b'recipes = ["fast"]\nboards = ["ulx3s_25f"]\n[spec]\npreset = "base"\nneurons = [16, 32]\n'],
    ),
    "vectors": Target("input.npz", lambda path: load_vectors(path, SPEC), _layer_vectors),
    "tensors": Target("input.safetensors", _tensors, _tensor_files),
    "description": Target("spikequant.json", _description, _descriptions),
    "gguf": Target("input.gguf", _gguf, _gguf_files),
    "result": Target("input.bin", _result, _results),
    "packets": Target("input.bin", _packets, _programs),
}
"""Targets by name."""


class LinesError(Exception):
    """A declared error whose message has more than one line."""


def run_once(target: str, content: bytes, folder: Path) -> bool:
    """Whether a reader accepts the bytes; any error but a declared one-line error is raised.

    Raises:
        LinesError: a declared error with several lines.
    """
    reader = TARGETS[target]
    path = folder / reader.file
    path.write_bytes(content)
    try:
        reader.read(path)
    except DECLARED as error:
        if "\n" in str(error):
            raise LinesError(f"a message of several lines: {error}") from error
        return False
    return True
