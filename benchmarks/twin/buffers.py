"""Layouts of the twin's buffers: rows of levels, lists of rows with salient levels, and a descriptor of each token."""

from amaranth.hdl import signed
from amaranth.lib import data

from spikequant.benchmarks.twin.arithmetic import buffer_rows, together, token_grain
from spikequant.golden.layer.spec import Spec, signed_bits
from spikequant.rtl.shapes import bits_for_index


def stored_layout(spec: Spec) -> data.StructLayout:
    """A stored level; a salient one is stored without its shift."""
    return data.StructLayout({"level": signed(signed_bits(spec.max_level)), "salient": 1})


def place_bits(spec: Spec) -> int:
    """Width of a row's place: the buffer above the row in it."""
    return 1 + bits_for_index(buffer_rows(spec))


def levels_write_layout(spec: Spec) -> data.StructLayout:
    """Levels of a row to store at ``place``.

    ``levels``: levels of the lanes of ``group``. Each group of lanes has a memory; the groups above become silent, and
    those below stay as they are.
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
    """Descriptor of a token: its last row and the last place of its list, both from the first one, and flags.

    ``listed``: rows are listed; never without a shift, since salient levels then are like any others. ``merged``: its
    salient charges can be doubled in place. ``high_fits``: all of its charges can be doubled once for each bit of a
    weight. ``low_fits``: there is room for it as low halves after that.
    """
    index = bits_for_index(spec.lane_rows)
    flags = dict.fromkeys(("listed", "merged", "high_fits", "low_fits"), 1)
    return data.StructLayout({"last_row": index, "last_listed": index, **flags})


def token_place_bits(spec: Spec) -> int:
    """Width of the place of a token's descriptor."""
    return place_bits(spec) - (token_grain(spec).bit_length() - 1)


def token_write_layout(spec: Spec) -> data.StructLayout:
    """A token's descriptor and its place."""
    return data.StructLayout({"place": token_place_bits(spec), "token": token_layout(spec)})
