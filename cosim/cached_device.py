"""A simulated device that remembers what it played."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from spikequant.cosim.simulator.build import accelerator_sources, build_bursts
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.simulator.job import Recording
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.store import cached_build, default_cache_folder, digest_of
from spikequant.rtl.driver.packets import Words


class RememberingDevice:
    """A ``Device`` that plays the same packets on the same design only once: they give the same again.

    Its simulator starts when something new is to be played. A context manager.

    Args:
        spec: the accelerator.
        cache: root of the cache for builds and recordings; the user's own by default.
        fresh: play everything again, and keep what comes back now.

    Attributes:
        remembered: whether the last recording is from an earlier run; its seconds are, too.
    """

    def __init__(self, spec: Spec, *, cache: Path | None = None, fresh: bool = False) -> None:
        self.spec = spec
        self.remembered = False
        self._cache = cache or default_cache_folder()
        self._fresh = fresh
        self._sources = accelerator_sources(spec)
        self._simulator = build_bursts(spec, sources=self._sources, cache=self._cache)
        self._device: SimulatedDevice | None = None

    def __enter__(self) -> Self:
        """The device."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the simulator."""
        self.close()

    def close(self) -> None:
        """End the simulator if it runs."""
        if self._device is not None:
            self._device.close()
            self._device = None

    def play(
        self, packets: Sequence[Words], results: int, *, progress: Callable[[int], None] = lambda _: None
    ) -> Recording:
        """As ``Device`` says.

        Raises:
            SimulationError: the simulator did not start or died, or the accelerator hangs.
        """
        self.remembered = True

        def build(folder: Path) -> None:
            self.remembered = False
            if self._device is None:
                self._device = SimulatedDevice(self.spec, sources=self._sources, cache=self._cache)
            try:
                recording = self._device.play(packets, results, progress=progress)
            except Exception:
                # whatever is wrong with this simulator, the next layer gets a new one
                self.close()
                raise
            recording.save(folder)

        digest = digest_of([self._simulator.name, str(results), *(packet.tobytes() for packet in packets)])
        folder = cached_build(self._cache, "recording", digest, build, fresh=self._fresh)
        progress(results)
        return Recording.load(folder)
