"""Figures and summary of a demo for the command line."""

from pathlib import Path

from spikequant.gen.demo.record import DemoRecord, SimulationFacts


class DemoFigures(SimulationFacts):
    """Figures of a demo, with those of its co-simulation.

    Attributes:
        ok: bit-exact, and the bitstream, if one was built, meets timing.
        mismatches: outputs that differ, over all comparisons.
        compared: outputs compared, over all comparisons.
        timing_met: None without a bitstream, as are ``fmax_mhz`` and ``bitstream_sha256``.
        salient_ratio, silent_ratio: fractions of the inputs, 0..1.
        fmax_mhz: for each placement seed.
        config: preset or file of the accelerator.
        layer: name of the layer.
        tokens: number of tokens.
        seconds: wall time of all steps.
        report: the HTML page.
    """

    ok: bool
    mismatches: int
    compared: int
    timing_met: bool | None
    salient_ratio: float
    silent_ratio: float
    fmax_mhz: list[float] | None
    bitstream_sha256: str | None
    config: str
    layer: str
    tokens: int
    seconds: float
    report: str


def demo_figures(record: DemoRecord, page: Path) -> DemoFigures:
    """Figures of a demo and its page."""
    device = record.device
    return DemoFigures(
        ok=record.ok,
        mismatches=record.mismatches,
        compared=sum(item.outputs for item in record.comparisons),
        timing_met=device.timing_met if device else None,
        salient_ratio=record.salient_ratio,
        silent_ratio=record.silent_ratio,
        **record.simulation.model_dump(),
        fmax_mhz=device.fmax_mhz if device else None,
        bitstream_sha256=device.bitstream_sha256 if device else None,
        config=record.config,
        layer=record.layer,
        tokens=len(record.tokens),
        seconds=sum(record.seconds.values()),
        report=str(page),
    )


def demo_summary(record: DemoRecord) -> str:
    """The demo in a few lines of plain text."""
    lines = [
        f"{record.layer} of {record.model}: {record.outputs} x {record.inputs}, {len(record.tokens)} tokens on "
        f"{record.spec.neurons} neurons x {record.spec.lanes} lanes"
    ]
    lines += [
        f"Verilog and {item.against}: {item.equal} of {item.outputs} outputs equal" for item in record.comparisons
    ]
    if record.simulation.first_mismatch:
        lines.append(f"first mismatch: {record.simulation.first_mismatch}")
    if record.simulation.saturated:
        lines.append(f"{record.simulation.saturated} outputs saturated, expected none")
    lines.append(f"{record.salient_ratio:.1%} of the inputs salient, {record.silent_ratio:.1%} silent")
    if record.device is not None:
        device = record.device
        used = ", ".join(f"{item.used} of {item.available} {item.name}s" for item in device.resources)
        lines.append(f"{device.device}: {used}")
        verdict = "timing met" if device.timing_met else "TIMING MISSED"
        lines.append(f"{device.fmax_mhz[device.chosen]:.1f} MHz, expected {device.wanted_mhz:.1f} MHz: {verdict}")
    lines.append("bit-exact" if record.exact else "NOT BIT-EXACT")
    return "\n".join(lines)
