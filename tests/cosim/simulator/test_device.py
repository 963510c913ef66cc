"""The simulated device: layer after layer, with pauses, and after a hang or a crash."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

import spikequant.cosim.simulator.device
from spikequant.cosim.simulator.build import SimulationError, cocotb_main, compile_model
from spikequant.cosim.simulator.burst import Traffic
from spikequant.cosim.simulator.device import SimulatedDevice, start_simulation
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.device import run_on_device
from spikequant.rtl.driver.packets import PacketError
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.verilog import TOP


def test_layer_after_layer(device: SimulatedDevice, small: Spec) -> None:
    for seed, (outputs, inputs, tokens, wide) in enumerate([(8, 16, 4, 0), (11, 40, 9, 17), (1, 1, 1, 0)]):
        vectors = random_vectors(small, outputs=outputs, inputs=inputs, tokens=tokens, wide=wide, seed=seed)
        golden = run_layer(vectors, small)
        run = run_on_device(device, vectors)
        assert not run.output.saturated.any()
        assert run.output.membrane.tolist() == golden.membrane.tolist()
        assert run.output.code.tolist() == golden.code.tolist()
        assert 0 < run.beats < run.cycles


def test_each_run_starts_afresh_and_counts_the_same(device: SimulatedDevice, small: Spec) -> None:
    vectors = random_vectors(small, outputs=9, inputs=20, tokens=5, seed=3)
    first, again = run_on_device(device, vectors), run_on_device(device, vectors)
    assert (first.cycles, first.spikes, first.beats) == (again.cycles, again.spikes, again.beats)
    assert first.cycles > sum(len(packet) for packet in layer_program(small, vectors).packets)


OPEN_PORTS = f"""`verilator_config
public_flat_rw -module "{TOP}" -var "clk"
public_flat_rw -module "{TOP}" -var "rst"
public_flat_rw -module "{TOP}" -var "*_axis_*"
"""


def test_the_words_are_those_of_another_bench(
    device: SimulatedDevice, small: Spec, sources: dict[str, str], cache: Path, tmp_path: Path
) -> None:
    program = layer_program(small, random_vectors(small, outputs=9, inputs=20, tokens=5, seed=4))
    ours = device.play(program.packets, len(program.places)).packets
    texts = {"ports.vlt": OPEN_PORTS, **sources}
    options, main = cocotb_main()
    simulator = compile_model("axi", TOP, texts, options=options, main=main, cache=cache)
    np.savez(tmp_path / "in.npz", *program.packets)
    log = tmp_path / "log"
    arguments = [f"folder={tmp_path}", f"results={len(program.places)}"]
    bench = start_simulation(simulator, TOP, "support.axi_bench", tmp_path, arguments, log=log)
    assert bench.wait(120) == 0, log.read_text()
    with np.load(tmp_path / "out.npz") as arrays:
        theirs = list(arrays.values())
    # the totals at the end of a packet depend on the time at which they are read
    assert [packet[:-2].tolist() for packet in ours] == [packet[:-2].tolist() for packet in theirs]


def test_the_current_folder_and_modules_of_the_user_do_not_disturb_it(
    small: Spec, sources: dict[str, str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, names in (("here", ("cocotb", "numpy", "rtl", "spikequant")), ("path", ("golden", "rtl", "cosim"))):
        for name in names:
            module = tmp_path / folder / name / "__init__.py"
            module.parent.mkdir(parents=True)
            module.write_text("raise RuntimeError('the wrong module')\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    program = layer_program(small, random_vectors(small, outputs=8, inputs=16, tokens=1, seed=1))
    with SimulatedDevice(small, sources=sources, cache=cache) as mine:
        assert len(mine.play(program.packets, 1).packets) == 1


def test_pauses_change_nothing_but_the_cycles(
    device: SimulatedDevice, small: Spec, sources: dict[str, str], cache: Path
) -> None:
    vectors = random_vectors(small, outputs=9, inputs=20, tokens=5, seed=4)
    calm = run_on_device(device, vectors)
    paused = []
    for seed in (1, 1, 2):
        traffic = Traffic(pause_in=0.5, pause_out=0.5, seed=seed)
        with SimulatedDevice(small, sources=sources, cache=cache, traffic=traffic) as mine:
            paused.append(run_on_device(mine, vectors))
    assert all(run.output.code.tolist() == calm.output.code.tolist() for run in paused)
    assert calm.cycles < paused[0].cycles == paused[1].cycles != paused[2].cycles


def test_progress_ends_at_all_results(device: SimulatedDevice, small: Spec) -> None:
    reported: list[tuple[int, int]] = []
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=6, seed=5)
    run_on_device(device, vectors, progress=lambda done, total: reported.append((done, total)))
    assert reported[0] == (0, 6)
    assert reported[-1] == (6, 6)


def test_a_refused_packet_shows_in_its_own_run_only(device: SimulatedDevice, small: Spec) -> None:
    vectors = random_vectors(small, outputs=8, inputs=16, tokens=2, seed=6)
    program = layer_program(small, vectors)

    class Spoiled:
        spec = small

        def play(self, packets, results, *, progress):
            return device.play([np.array([15, 1, 2], np.uint32), *packets], results, progress=progress)

    with pytest.raises(PacketError, match="the accelerator refused a packet"):
        run_on_device(Spoiled(), vectors)
    assert len(device.play(program.packets, 2).packets) == 2


def test_the_device_works_after_a_hang(device: SimulatedDevice, small: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spikequant.cosim.simulator.device, "IDLE_CYCLES", 5000)
    program = layer_program(small, random_vectors(small, outputs=8, inputs=16, tokens=3, seed=7))
    with pytest.raises(SimulationError, match=r"the accelerator hangs: 3 results after \d+ cycles, expected 4"):
        device.play(program.packets, 4)
    assert len(device.play(program.packets, 3).packets) == 3


def test_a_killed_simulator_is_reported_with_its_log_and_leaves_no_process(
    cache: Path, small: Spec, sources: dict[str, str], logs: Path
) -> None:
    program = layer_program(small, random_vectors(small, outputs=8, inputs=16, tokens=3, seed=8))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with SimulatedDevice(small, sources=sources, cache=cache) as mine:
        started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        simulators = [child for child in started if child.name() == "burst"]
        os.kill(simulators[0].pid, signal.SIGKILL)
        with pytest.raises(SimulationError, match="the simulation failed, see ") as caught:
            mine.play(program.packets, 3)
    assert Path(str(caught.value).rpartition("see ")[2]).parent == logs
    assert not [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert [path.suffix for path in logs.iterdir()] == [".log"]


def test_a_simulator_that_does_not_start_is_reported(
    cache: Path, small: Spec, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spikequant.cosim.simulator.device, "BURST_TOP", "nothing")
    with pytest.raises(SimulationError, match="the simulation failed, see "):
        SimulatedDevice(small, cache=cache)
    assert list(logs.iterdir())
