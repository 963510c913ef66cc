"""Settings of Brevitas's flow for language models, as options of its command line."""

BITS = 4

FORMAT = (
    f"--weight-bit-width {BITS} --weight-quant-granularity per_channel --weight-quant-type asym "
    f"--input-bit-width {BITS} --input-quant-granularity per_row --input-scale-type dynamic --input-quant-type asym "
    "--quantize-weight-zero-point --quantize-input-zero-point --dtype float32"
)
"""A scale and zero point for each output's weights, and for each token, as in our own baselines.

Zero points are codes, so that zero is exact: Brevitas's default is float ones, by which an outlier shifts all of its
token's small values.
"""

_ROTATION = "--rotation fused_no_fx --replace-rmsnorm --rotation-orphan-sink --rotation-sdpa-regions"
"""Hadamard rotations: folded into weights where possible, computed at run time before o and down."""

_SMOOTHQUANT = "--act-equalization layerwise"

_BLOCKS = "--gpxq-block-name model.layers --gpxq-act-order"
"""Rounding block by block, which takes minutes where the whole model takes hours."""

SETTINGS = {
    "rtn": "",
    "smoothquant-gptq": f"{_SMOOTHQUANT} {_BLOCKS} --gptq --gpxq-use-quant-activations",
    "rotation-rtn": _ROTATION,
    "rotation-gptq": f"{_ROTATION} {_BLOCKS} --gptq --gpxq-use-quant-activations",
    "rotation-gpfq": f"{_ROTATION} {_BLOCKS} --gpfq",
    "rotation-qronos": f"{_ROTATION} {_BLOCKS} --qronos",
    "rotation-qronos-mse": f"{_ROTATION} {_BLOCKS} --qronos --weight-param-method mse",
}
"""Options of each setting, in addition to the format's."""
