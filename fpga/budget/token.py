"""Cost of one token in all layers of a model on a board, as text generation runs them.

Layers that share their input run as one exchange. At its first run, a layer is stored in the board's memory if it fits
after the stored ones; the weights of all others come over the serial line for each token. Everything else, such as
attention, norms and the output head, is on the host and counts no time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spikequant.fpga.budget.exchange import Cost, exchange_cost
from spikequant.fpga.budget.setup import Setup
from spikequant.fpga.budget.timeline import Exchange, Step, exchange
from spikequant.fpga.sdram.layout import StoredLayer, place_layer, store_layer
from spikequant.golden.layer.fusion import fused_neighbours
from spikequant.golden.layer.vectors import LayerVectors


@dataclass(frozen=True)
class Site:
    """Layers that run as one exchange.

    Attributes:
        layers: their names.
        stored_words: 32-bit words in the board's memory; 0 if their weights come over the line.
        upload: exchange that stores them.
        costs: cost of each token.
    """

    layers: tuple[str, ...]
    stored_words: int
    upload: Exchange
    costs: tuple[Cost, ...]

    @property
    def kind(self) -> str:
        """Last parts of the layers' names, as ``q/k/v``."""
        return "/".join(name.rpartition(".")[2].removesuffix("_proj") for name in self.layers)


def token_sites(
    setup: Setup, layers: Mapping[str, LayerVectors], *, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> list[Site]:
    """Costs of all layers of a model, a token at a time.

    Args:
        setup: the board.
        layers: of the model in its order, with their tokens; the weights may be any.
        progress: called with the number of sites counted, and of all sites.
    """
    found: list[Site] = []
    sites = list(fused_neighbours(layers.items()))
    address = 0
    for number, (names, vectors) in enumerate(sites):
        progress(number, len(sites))
        stored = _stored(setup, vectors, address)
        costs = tuple(
            exchange_cost(setup, vectors.of_tokens(slice(token, token + 1)), stored=stored)
            for token in range(vectors.tokens)
        )
        words = stored.place.words if stored else 0
        address += words
        steps = [Step(words=len(packet)) for packet in stored.packets()] if stored else []
        found.append(Site(names, words, exchange(steps, byte_cycles=setup.byte_cycles), costs))
    return found


def _stored(setup: Setup, vectors: LayerVectors, address: int) -> StoredLayer | None:
    """The layer in the memory at an address, or None if it does not fit."""
    memory = setup.memory
    if memory is None or not place_layer(setup.spec, vectors, address=address).fits(memory.chip):
        return None
    return store_layer(setup.spec, vectors, chip=memory.chip, address=address)
