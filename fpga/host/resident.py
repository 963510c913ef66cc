"""Layers of a model in a board's memory, as many as fit."""

from spikequant.fpga.host.device import Accelerator
from spikequant.fpga.sdram.layout import StoredLayer
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import LayerRun


class ResidentLayers:
    """Runner that stores each layer in the board's memory at its first run and streams it from there later.

    A layer that does not fit, or a board without a memory, gets the weights over the line each time.

    Args:
        accelerator: on a board.
        brief: results have no membranes.

    Attributes:
        stored: layers in the memory, by name.
    """

    def __init__(self, accelerator: Accelerator, *, brief: bool = False) -> None:
        self.stored: dict[str, StoredLayer] = {}
        self._accelerator = accelerator
        self._brief = brief

    def run(self, name: str, vectors: LayerVectors) -> LayerRun:
        """Run tokens on the layer of that name.

        Raises:
            LinkError: the board cannot be reached or breaks the protocol.
            PacketError: the accelerator refused a packet or sent a malformed one.
            ValueError: the memory holds other weights under that name.
        """
        if name not in self.stored:
            if not self._accelerator.has_room(vectors):
                return self._accelerator.run_layer(vectors, brief=self._brief)
            self.stored[name] = self._accelerator.store_layer(vectors)
        return self._accelerator.run_stored(self.stored[name], vectors, brief=self._brief)
