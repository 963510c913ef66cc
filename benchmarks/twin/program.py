"""A layer as packets for the multiply-accumulate array."""

from spikequant.benchmarks.twin.arithmetic import token_rows
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import goes_token_by_token, keeps_all_weights
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.program import LayerProgram, Part, layer_segments, program_of_parts, token_tile


def twin_program(
    spec: Spec, vectors: LayerVectors, *, keep_scores: bool = True, brief: bool = False, blocks: bool = False
) -> LayerProgram:
    """Tile a layer as ``layer_program`` does; rows of levels take the place of scores.

    If all weights are loaded, a token's parts always run consecutively, since the array adds the low halves to the
    high ones.

    Args:
        spec: the accelerator.
        vectors: the layer and its tokens, from ``mac_vectors``.
        keep_scores: reuse rows of levels for all tiles of outputs, if they fit.
        brief: results have no membranes.
        blocks: run tokens in blocks, as ``layer_program`` does.
    """
    segments = layer_segments(spec, vectors)
    parts = [
        [
            Part(
                tile=token_tile(vectors, token, segment.columns, merged=False),
                segment=index,
                first_input=segment.first_input,
                words=token_rows(spec, len(segment.columns)),
            )
            for index, segment in enumerate(segments)
        ]
        for token in range(vectors.tokens)
    ]
    sizes = {"inputs": vectors.inputs, "wide": vectors.wide.size}
    token_by_token = keeps_all_weights(spec, **sizes) or goes_token_by_token(spec, **sizes)
    return program_of_parts(
        spec,
        vectors,
        segments,
        parts,
        token_by_token=token_by_token,
        keep_scores=keep_scores,
        brief=brief,
        blocks=blocks,
    )
