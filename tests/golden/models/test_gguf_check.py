"""A GGUF file states no more than it has."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from spikequant.golden.models.model import load_model
from spikequant.golden.support.errors import InputError

SIZE = 8
SQUARE = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
NUMBERS = {
    "llama.block_count": 1,
    "llama.context_length": 8,
    "llama.embedding_length": SIZE,
    "llama.feed_forward_length": SIZE,
    "llama.attention.head_count": 1,
    "llama.attention.head_count_kv": 1,
    "llama.rope.dimension_count": SIZE,
    "llama.vocab_size": 3,
}

Writer = Callable[..., str]


@pytest.fixture(name="write")
def write_fixture(tmp_path: Path) -> Writer:
    """Writes a model of one block, and gives its path; numbers that are None are left out."""

    def write(
        merges: tuple[str, ...] = ("a b",), tensors: dict[str, np.ndarray | None] | None = None, **numbers: int | None
    ) -> str:
        path = tmp_path / "it.gguf"
        writer = GGUFWriter(path, "llama")
        stated = NUMBERS | {f"llama.{key.replace('__', '.')}": value for key, value in numbers.items()}
        for key, value in stated.items():
            if value is not None:
                writer.add_uint32(key, value)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(["a", "b", "ab"])
        writer.add_token_merges(list(merges))
        square, vector = np.ones((SIZE, SIZE), np.float32), np.ones(SIZE, np.float32)
        norms = dict.fromkeys(("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"), vector)
        layers = {f"blk.0.{name}": square for name in SQUARE}
        changed = {"token_embd": np.ones((3, SIZE), np.float32)} | norms | layers | (tensors or {})
        for name, values in changed.items():
            if values is not None:
                writer.add_tensor(f"{name}.weight", values)
        # the last field, so that a test can make it longer
        writer.add_array("general.numbers", [1, 2, 3])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return str(path)

    return write


def refused(path: str) -> str:
    """The one-line error for a file, within seconds."""
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_small_model_is_loaded_without_progress_bars_of_other_packages(
    write: Writer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert load_model(write()).model.config.num_hidden_layers == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("blocks", [None, 0, 2, 2**32 - 1])
def test_blocks_are_those_that_there_are(write: Writer, blocks: int | None) -> None:
    message = refused(write(block_count=blocks))
    assert f"llama.block_count is {blocks}, expected 1 as its tensors have" in message


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("embedding_length", None),
        ("embedding_length", 2**24),
        ("feed_forward_length", None),
        ("feed_forward_length", 2**31),
        ("vocab_size", 2**31),
        ("rope__dimension_count", 2**31),
    ],
)
def test_a_model_is_about_as_large_as_its_file(write: Writer, number: str, value: int | None) -> None:
    assert "its sizes make a model of" in refused(write(**{number: value}))


def test_a_file_has_exactly_the_tensors_of_the_model(write: Writer) -> None:
    assert "tensor model.layers.0.mlp.up_proj.weight is missing" in refused(write(tensors={"blk.0.ffn_up": None}))
    assert "tensor blk.0.ffn_sub_norm.weight is unknown" in refused(
        write(tensors={"blk.0.ffn_sub_norm": np.ones(SIZE, np.float32)})
    )
    assert "rope_freqs.weight is unknown" in refused(write(tensors={"rope_freqs": np.ones(SIZE // 2, np.float32)}))
    narrow = np.ones((SIZE, SIZE // 2), np.float32)
    assert "tensor model.layers.0.mlp.down_proj.weight is [8, 4], expected [8, 8]" in refused(
        write(tensors={"blk.0.ffn_down": narrow})
    )
    damaged = np.ones(SIZE, np.float32)
    damaged[3] = np.nan
    assert "tensor model.norm.weight is nan at [3]" in refused(write(tensors={"output_norm": damaged}))
    few = np.ones((2, SIZE), np.float32)
    assert "tensor model.embed_tokens.weight is [2, 8], expected [3, 8]" in refused(write(tensors={"token_embd": few}))


def test_an_array_ends_where_its_file_does(write: Writer) -> None:
    path = Path(write())
    content = path.read_bytes()
    array = struct.pack("<IQ", 5, 3) + np.array([1, 2, 3], np.int32).tobytes()
    assert content.count(array) == 1
    path.write_bytes(content.replace(array, struct.pack("<IQ", 1, 2**60) + array[12:]))
    assert "it ends at byte" in refused(str(path))


def test_a_merge_makes_a_token(write: Writer) -> None:
    assert "makes no token" in refused(write(merges=("ab ab",)))
    assert "Token `ba` out of vocabulary" in refused(write(merges=("b a",)))
