"""Budget of a whole model."""

import pytest

from spikequant.fpga.boards import BOARDS
from spikequant.fpga.budget.figures import budget_figures
from spikequant.fpga.budget.setup import Setup, board_setup
from spikequant.fpga.budget.token import token_sites
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP
from spikequant.golden.layer.fusion import fuse
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.layer.vectors import PER_TOKEN, LayerVectors
from spikequant.golden.support.errors import InputError

SPEC = PRESETS["tiny"]


def vectors(outputs: int, *, seed: int) -> LayerVectors:
    return random_vectors(SPEC, outputs=outputs, inputs=24, tokens=2, wide=4, max_shift=2, extremes=False, seed=seed)


@pytest.fixture
def layers() -> dict[str, LayerVectors]:
    """Two blocks; the first two layers of each share their input."""
    found: dict[str, LayerVectors] = {}
    for block in range(2):
        gate, up, down = vectors(16, seed=block), vectors(24, seed=5), vectors(8, seed=6 + block)
        up = LayerVectors(**{**vars(up), **{name: getattr(gate, name) for name in PER_TOKEN}})
        found |= {f"layers.{block}.{name}_proj": one for name, one in (("gate", gate), ("up", up), ("down", down))}
    return found


def setup_of(chip: str | None, *, brief: bool = True, board: str = "ulx3s_85f", baud: int = 1_000_000) -> Setup:
    return board_setup(
        SPEC, BOARDS[board], frequency_hz=60e6, baud=baud, chip=CHIPS[chip] if chip else None, brief=brief
    )


def test_layers_with_a_common_input_run_together(layers: dict[str, LayerVectors]) -> None:
    sites = token_sites(setup_of(DEFAULT_CHIP), layers)
    assert [site.kind for site in sites] == ["gate/up", "down"] * 2
    assert [site.layers for site in sites][:2] == [
        ("layers.0.gate_proj", "layers.0.up_proj"),
        ("layers.0.down_proj",),
    ]
    assert all(len(site.costs) == 2 for site in sites)
    fused = fuse([layers["layers.0.gate_proj"], layers["layers.0.up_proj"]])
    assert sites[0].stored_words == 5 * (3 * 8 + (24 + fused.wide.size))


def test_what_the_memory_does_not_hold_comes_over_the_line(layers: dict[str, LayerVectors]) -> None:
    alone, resident = (token_sites(setup_of(chip), layers) for chip in (None, DEFAULT_CHIP))
    for over_line, stored in zip(alone, resident, strict=True):
        assert over_line.stored_words == 0 < stored.stored_words
        assert over_line.upload.sent == 0 < stored.upload.sent
        for one, other in zip(over_line.costs, stored.costs, strict=True):
            assert one.memory_words == 0 < other.memory_words <= stored.stored_words
            assert one.line.sent > other.line.sent


def test_codes_are_shorter_than_membranes(layers: dict[str, LayerVectors]) -> None:
    brief, whole = (token_sites(setup_of(None, brief=brief), layers)[0].costs[0] for brief in (True, False))
    assert brief.line.received < whole.line.received
    # the host confirms each result, whatever its length
    assert brief.line.sent == pytest.approx(whole.line.sent)


def test_figures_add_up(layers: dict[str, LayerVectors]) -> None:
    setup = setup_of(DEFAULT_CHIP)
    sites = token_sites(setup, layers)
    found = budget_figures(setup, sites, board=BOARDS["ulx3s_85f"], config="tiny", model="a model")
    assert [(need.kind, need.layers, need.exchanges) for need in found.kinds] == [("gate/up", 4, 2), ("down", 2, 2)]
    assert (found.total.layers, found.total.exchanges, found.stored_layers) == (6, 4, 6)
    assert found.total.milliseconds == pytest.approx(sum(need.milliseconds for need in found.kinds))
    assert found.total.milliseconds == pytest.approx(found.total.cycles / 60e3)
    assert found.tokens_per_second == pytest.approx(1e3 / found.total.milliseconds)
    assert found.binds == "line"
    assert found.stored_bytes == 4 * sum(site.stored_words for site in sites)
    total = found.total
    for part in (total.line, total.memory, total.array, total.board):
        assert 0 < part.milliseconds <= total.milliseconds
    assert total.memory.milliseconds == pytest.approx(total.memory.cycles / 120e3)


def test_a_board_has_its_own_clocks() -> None:
    assert setup_of(None, board="ecpix5_85f").memory is None
    # 25 MHz times 12 over 5, and the nearest number of cycles a bit
    assert (setup_of(None).clock_hz, setup_of(None, baud=3_000_000).divisor) == (60e6, 20)
    with pytest.raises(InputError, match=r"^board: ecpix5_85f has no SDR SDRAM"):
        setup_of(DEFAULT_CHIP, board="ecpix5_85f")
    assert isinstance(setup_of(None).spec, Spec)
