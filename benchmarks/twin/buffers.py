"""What the twin's buffers hold: rows of levels, lists of those with salient ones, and each token's particulars."""

from amaranth.hdl import signed
from amaranth.lib import data

from spikequant.benchmarks.twin.arithmetic import buffer_rows, together, token_grain
from spikequant.golden.layer.spec import Spec, signed_bits
from spikequant.rtl.shapes import bits_for_index


def stored_layout(spec: Spec) -> data.StructLayout:
    """A level as it is kept: a salient one without its shift."""
    return data.StructLayout({"level": signed(signed_bits(spec.max_level)), "salient": 1})


def place_bits(spec: Spec) -> int:
    """Width of a row's place: the buffer above the row in it."""
    return 1 + bits_for_index(buffer_rows(spec))


def levels_write_layout(spec: Spec) -> data.StructLayout:
    """Levels of a row.

    ``place``: where. ``levels``: of the lanes of group ``group``, each of which has a memory of its own; the groups
    above it become silent, and those below it stay as they are.
    """
    return data.StructLayout(
        {
            "place": place_bits(spec),
            "group": bits_for_index(spec.lanes // together(spec)),
            "levels": data.ArrayLayout(stored_layout(spec), together(spec)),
        }
    )


def listed_layout(spec: Spec) -> data.StructLayout:
    """A row with salient levels, counted from its token's first one, and its place in the list of such rows."""
    return data.StructLayout({"place": place_bits(spec), "row": bits_for_index(spec.lane_rows)})


def token_layout(spec: Spec) -> data.StructLayout:
    """A token's last row and the last place of its list, both counted from the first one, and what has room.

    ``listed``: rows are; none is where the token has no shift, since its salient levels are like any other.
    ``merged``: its salient charges can be doubled in place. ``high_fits``: all of its charges can, as often as a weight
    has bits. ``low_fits``: it has room behind those.
    """
    index = bits_for_index(spec.lane_rows)
    flags = dict.fromkeys(("listed", "merged", "high_fits", "low_fits"), 1)
    return data.StructLayout({"last_row": index, "last_listed": index, **flags})


def token_place_bits(spec: Spec) -> int:
    """Width of the place of a token's particulars."""
    return place_bits(spec) - (token_grain(spec).bit_length() - 1)


def token_write_layout(spec: Spec) -> data.StructLayout:
    """A token's particulars and where they go."""
    return data.StructLayout({"place": token_place_bits(spec), "token": token_layout(spec)})
