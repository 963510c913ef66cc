"""A model's layers in a board's memory, as far as it holds them."""

from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.sdram.layout import StoredLayer
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import LayerRun


class ResidentLayers:
    """Stores each layer when it first runs, and streams it from the memory from then on.

    A layer that finds no room goes over the line each time.

    Args:
        accelerator: whose board has a memory, or else nothing is stored.

    Attributes:
        stored: layers in the memory, by name.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.stored: dict[str, StoredLayer] = {}
        self._accelerator = accelerator

    def run(self, name: str, vectors: LayerVectors) -> LayerRun:
        """Run tokens on the layer of that name.

        Raises:
            LinkError: the board cannot be reached, or does not do its part.
            PacketError: the accelerator refused a packet or sent a broken one.
            ValueError: the memory holds other weights under that name.
        """
        if name not in self.stored:
            if not self._accelerator.has_room(vectors):
                return self._accelerator.run_layer(vectors)
            self.stored[name] = self._accelerator.store_layer(vectors)
        return self._accelerator.run_stored(self.stored[name], vectors)
