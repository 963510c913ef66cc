"""Integer weights packed in 32-bit words, in the layouts of compressed-tensors and of GPTQ."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikequant.golden.support.errors import InputError

WORD = 32
"""Bits of a word of packed integers."""

WIDTHS = (2, 4, 8)
"""Supported widths of an integer, each of which divides a word."""


@dataclass(frozen=True)
class PackedWeight:
    """Integer weights of one layer: ``w[n, k] = scales[n, groups[k]] * (codes[n, k] - zeros[n, groups[k]])``.

    Attributes:
        codes: uint8 [N, K].
        zeros: int16 [N, G], zero points in units of the codes.
        scales: float32 [N, G], finite.
        groups: int64 [K], 0..G-1, the group of each input.
    """

    codes: Tensor
    zeros: Tensor
    scales: Tensor
    groups: Tensor

    def steps(self) -> Tensor:
        """Step between two adjacent values of each weight, float32 [N, K]."""
        return self.scales[:, self.groups]

    def values(self) -> Tensor:
        """The weights that the integers represent, float32 [N, K]."""
        return self.steps() * (self.codes - self.zeros[:, self.groups])


@dataclass(frozen=True)
class LayerTensors:
    """Stored tensors of one layer.

    Attributes:
        where: file or folder and layer, for errors.
        tensors: by the last part of their names.
    """

    where: str
    tensors: Mapping[str, Tensor]

    def get(self, part: str) -> Tensor:
        """A tensor, unchecked.

        Raises:
            InputError: it is missing.
        """
        if part not in self.tensors:
            raise InputError(f"{self.where}: tensor {part} is missing")
        return self.tensors[part]

    def take(self, part: str, *dtypes: torch.dtype, sizes: tuple[int | None, ...]) -> Tensor:
        """A tensor of one of some types.

        Args:
            part: its name.
            dtypes: accepted types; none for any floating type with finite values, which is returned as float32.
            sizes: its shape; None accepts any size but 0.

        Raises:
            InputError: it is missing, or of another type or shape.
        """
        tensor = self.get(part)
        right = tensor.dtype in dtypes if dtypes else tensor.is_floating_point()
        fits = tensor.ndim == len(sizes) and all(
            got > 0 if size is None else got == size for got, size in zip(tensor.shape, sizes, strict=True)
        )
        if not (right and fits):
            shape = ", ".join("*" if size is None else str(size) for size in sizes)
            kind = " or ".join(map(str, dtypes)) or "a floating type"
            raise self.error(f"{part} is {tensor.dtype} {list(tensor.shape)}, expected {kind} [{shape}]")
        if not dtypes and not bool(tensor.isfinite().all()):
            raise self.error(f"{part} has infinite or undefined values, expected finite numbers")
        return tensor if dtypes else tensor.float()

    def width(self, part: str, words: int, integers: int) -> int:
        """The width of integers that fill a number of words.

        Raises:
            InputError: no supported width does.
        """
        for bits in WIDTHS:
            if -(-integers * bits // WORD) == words:
                return bits
        raise self.error(f"{part} has {words} words for {integers} integers, expected integers of 2, 4 or 8 bits")

    def groups(self, part: str, inputs: int, count: int, size: int) -> Tensor:
        """The group of each input, int64 [inputs].

        Args:
            part: name of the stored groups, which may be missing.
            inputs: number of inputs.
            count: number of groups.
            size: inputs of a group that is a run of inputs, which is so without stored groups.

        Raises:
            InputError: they do not fit each other.
        """
        if part in self.tensors:
            stored = self.take(part, torch.int32, torch.int64, sizes=(inputs,)).long()
            # writers that do not use them leave them at 0 or -1
            if bool((stored > 0).any()):
                if int(stored.min()) < 0 or int(stored.max()) >= count:
                    raise self.error(f"{part} is {int(stored.min())}..{int(stored.max())}, expected 0..{count - 1}")
                return stored
        if -(-inputs // size) != count:
            raise self.error(f"{count} groups for {inputs} inputs, expected {-(-inputs // size)} of {size} inputs")
        return torch.arange(inputs) // size

    def error(self, problem: str) -> InputError:
        """Bad input in this layer."""
        return InputError(f"{self.where}: {problem}")


def unpack(words: Tensor, bits: int, count: int) -> Tensor:
    """Integers that are packed along the last axis, the lowest bits first.

    Args:
        words: int32 [..., W].
        bits: width of an integer, one of ``WIDTHS``.
        count: integers to return, at most W * 32 / bits.

    Returns:
        uint8 [..., count].
    """
    shifts = torch.arange(0, WORD, bits, dtype=torch.int32)
    return ((words[..., None] >> shifts) & (2**bits - 1)).flatten(-2)[..., :count].to(torch.uint8)


def compressed_weight(layer: LayerTensors) -> PackedWeight:
    """Weights of a layer in the format ``pack-quantized`` of compressed-tensors.

    Codes are signed integers plus 2**(bits - 1), packed along the inputs; zero points are the same, packed along the
    outputs, and 0 where they are missing.

    Args:
        layer: ``weight_packed``, ``weight_scale``, ``weight_shape``, and maybe ``weight_zero_point`` and
            ``weight_g_idx``.

    Raises:
        InputError: tensors are missing, or do not fit each other.
    """
    shape = layer.take("weight_shape", torch.int64, torch.int32, sizes=(2,))
    outputs, inputs = shape.tolist()
    if min(outputs, inputs) < 1:
        raise layer.error(f"weight_shape is {shape.tolist()}, expected two positive numbers")
    words = layer.take("weight_packed", torch.int32, sizes=(outputs, None))
    bits = layer.width("weight_packed", words.shape[1], inputs)
    one_scale = layer.get("weight_scale").ndim == 1
    scales = layer.take("weight_scale", sizes=(1,) if one_scale else (outputs, None)).expand(outputs, -1)
    count = scales.shape[1]
    return PackedWeight(
        codes=unpack(words, bits, inputs),
        zeros=_compressed_zeros(layer, outputs, count, bits),
        scales=scales,
        groups=layer.groups("weight_g_idx", inputs, count, max(1, inputs // count)),
    )


def _compressed_zeros(layer: LayerTensors, outputs: int, count: int, bits: int) -> Tensor:
    part, middle = "weight_zero_point", 2 ** (bits - 1)
    if part not in layer.tensors:
        return torch.full((outputs, count), middle, dtype=torch.int16)
    # earlier releases did not pack them
    if layer.get(part).dtype == torch.int8:
        return layer.take(part, torch.int8, sizes=(outputs, count)).to(torch.int16) + middle
    packed = layer.take(part, torch.int32, sizes=(-(-outputs * bits // WORD), count))
    return unpack(packed.t(), bits, outputs).t().to(torch.int16)


def gptq_weight(layer: LayerTensors, *, bits: int | None, group_size: int, zeros_less_one: bool) -> PackedWeight:
    """Weights of a layer in the formats of GPTQ.

    Codes [K, N] are packed along the inputs, zero points [G, N] along the outputs.

    Args:
        layer: ``qweight``, ``qzeros``, ``scales``, and maybe ``g_idx``.
        bits: width of a code; needed without ``g_idx``.
        group_size: inputs that share a scale; -1 for all.
        zeros_less_one: whether zero points are stored less 1, as in the first version of the format.

    Raises:
        InputError: tensors are missing, or do not fit each other.
    """
    scales = layer.take("scales", sizes=(None, None))
    count, outputs = scales.shape
    words = layer.take("qweight", torch.int32, sizes=(None, outputs))
    if "g_idx" in layer.tensors:
        inputs = layer.get("g_idx").numel()
        bits = layer.width("qweight", words.shape[0], inputs)
    elif bits not in WIDTHS:
        raise layer.error(f"integers of {bits} bits, expected 2, 4 or 8")
    else:
        inputs = words.shape[0] * WORD // bits
    stored = layer.take("qzeros", torch.int32, sizes=(count, -(-outputs * bits // WORD)))
    if zeros_less_one:
        # on whole words, because a zero point of 0 borrowed from the next
        stored = stored + sum(1 << shift for shift in range(0, WORD, bits))
    return PackedWeight(
        codes=unpack(words.t(), bits, inputs).contiguous(),
        zeros=unpack(stored, bits, outputs).t().to(torch.int16),
        scales=scales.t().contiguous(),
        groups=layer.groups("g_idx", inputs, count, inputs if group_size < 1 else group_size),
    )
