"""A simulated device with a cache of its results."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from spikequant.cosim.simulator.build import accelerator_sources, build_bursts
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import save_arrays
from spikequant.golden.support.store import cached_build, default_cache_folder, digest_of
from spikequant.rtl.driver.device import Played
from spikequant.rtl.driver.packets import Words

FILE = "recording.npz"


def save_played(path: Path, played: Played) -> None:
    """Write results of a device as arrays."""
    arrays = {
        "words": np.concatenate([*played.packets, np.zeros(0, np.uint32)]),
        "lengths": np.array([len(packet) for packet in played.packets], np.int64),
        "settings": np.array([played.cycles, played.seconds], np.float64),
    }
    save_arrays(path, arrays)


def load_played(path: Path) -> Played:
    """Read what ``save_played`` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        cycles, seconds = arrays["settings"]
        lengths = arrays["lengths"]
        packets = np.split(arrays["words"], np.cumsum(lengths)[:-1]) if len(lengths) else []
    return Played(packets=packets, cycles=int(cycles), seconds=float(seconds))


class CachedDevice:
    """A ``Device`` that simulates equal packets on an equal design only once.

    Its simulator starts with the first packets that the cache does not have.

    Args:
        spec: the accelerator.
        cache: root of the cache of builds and results; the user's cache by default.
        fresh: simulate everything again, and replace the cached results.

    Attributes:
        cached: whether the last results, with their seconds, are from an earlier run.
    """

    def __init__(self, spec: Spec, *, cache: Path | None = None, fresh: bool = False) -> None:
        self.spec = spec
        self.cached = False
        self._cache = cache or default_cache_folder()
        self._fresh = fresh
        self._sources = accelerator_sources(spec)
        self._simulator = build_bursts(spec, sources=self._sources, cache=self._cache)
        self._device: SimulatedDevice | None = None

    def close(self) -> None:
        """End the simulator if it runs."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def play(
        self, packets: Sequence[Words], results: int, *, progress: Callable[[int], None] = lambda _: None
    ) -> Played:
        """Send packets and wait for results, as ``Device.play`` does.

        Raises:
            SimulationError: the simulator did not start or died, or the accelerator hangs.
        """
        self.cached = True

        def build(folder: Path) -> None:
            self.cached = False
            if self._device is None:
                self._device = SimulatedDevice(self.spec, sources=self._sources, cache=self._cache)
            try:
                save_played(folder / FILE, self._device.play(packets, results, progress=progress))
            except Exception:
                # the simulator's state is unknown: the next layer gets a new one
                self.close()
                raise

        digest = digest_of([self._simulator.name, str(results), *(packet.tobytes() for packet in packets)])
        folder = cached_build(self._cache, "recording", digest, build, fresh=self._fresh)
        progress(results)
        return load_played(folder / FILE)
