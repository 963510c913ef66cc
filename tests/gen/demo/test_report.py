"""The report, made from a random layer of the tiny accelerator."""

import base64
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.gen.demo.record import (
    RECORD,
    Comparison,
    DemoRecord,
    DeviceFacts,
    FileFacts,
    ResourceFacts,
    SimulationFacts,
    TokenFacts,
    load_record,
)
from spikequant.gen.demo.report import REPORT, render_report, write_report
from spikequant.gen.demo.spike_plots import levels_svg, spike_times, spread_labels, threshold_units, token_svg
from spikequant.gen.demo.spike_trace import TRACE, SpikeTrace, load_trace, save_trace, spread_neurons, trace_token
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError

TINY = load_spec("tiny")
HOSTILE = "</code><script>alert('x')</script>&\"<img src=x>"


def layer(*, seed: int = 1, wide: int = 5, tokens: int = 3) -> LayerVectors:
    return random_vectors(
        TINY,
        outputs=12,
        inputs=50,
        tokens=tokens,
        wide=wide,
        max_shift=4,
        salient_fraction=0.1,
        extremes=False,
        seed=seed,
    )


def trace_of(vectors: LayerVectors, token: int = 0) -> SpikeTrace:
    return trace_token(vectors, token, TINY, code=run_layer(vectors, TINY).code[token])


def record_of(vectors: LayerVectors) -> DemoRecord:
    return DemoRecord(
        config="tiny <1>",
        spec=TINY,
        model="a-model",
        layer="model.layers.7.mlp.up_proj",
        outputs=vectors.outputs,
        inputs=vectors.inputs,
        wide_columns=int(vectors.wide.size),
        calibration="calibrated on 4711 tokens of text",
        text="held-out text",
        tokens=[
            TokenFacts(text=text, salient=11 + i, silent=21 + i, shift=i, spikes=31 + i, ticks=41 + i)
            for i, text in enumerate(["An", HOSTILE, " end"])
        ],
        shown=1,
        salient_ratio=0.0234,
        silent_ratio=0.2876,
        comparisons=[
            Comparison(against="PyTorch", how="float outputs", equal=1536, outputs=1536),
            Comparison(against="integers", how="a product", equal=2048, outputs=2048),
        ],
        simulation=SimulationFacts(
            cycles=76601,
            spikes=32481,
            beats=12267,
            lane_utilisation=0.6619,
            sim_cycles_per_second=61818.0,
            saturated=0,
            first_mismatch="",
        ),
        device=DeviceFacts(
            board="ulx3s_85f",
            device="LFE5U-85F",
            resources=[
                ResourceFacts(name="LUT", used=17473, available=83640),
                ResourceFacts(name="block RAM", used=41, available=208),
            ],
            wanted_mhz=99.5,
            seeds=[3, 9],
            fmax_mhz=[88.8, 112.7],
            chosen=1,
            timing_met=True,
            bitstream_sha256="ab" * 32,
        ),
        seconds={"quantize": 20.13, "simulate": 44.4},
        versions={"amaranth": "0.5.10", "torch": "2.13.0"},
        files=[
            FileFacts(path="spikequant.v", holds="Verilog", size=1952597, sha256="0123456789abcdef" * 4),
            FileFacts(path='odd "name"#1.npz', holds="arrays", size=512, sha256="f" * 64),
        ],
    )


class Page(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.classes: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("src", "href", "srcset", "action") if name in values]
        if "id" in values:
            self.classes[str(values["id"])] = str(values.get("class"))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def plain(self) -> str:
        return self.text.replace("\u202f", "").replace("\xa0", " ")


@pytest.fixture(scope="module")
def html() -> str:
    return render_report(record_of(layer()), trace_of(layer()))


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    page = Page(html)
    outside = [address for address in page.addresses if not address.startswith("data:image/svg+xml;base64,")]
    assert outside == ["spikequant.v", "odd%20%22name%22%231.npz"]
    assert not page.tags & {"script", "link", "iframe", "object", "base"}
    assert "http" not in html
    assert "url(" not in html
    assert "@import" not in html


def test_images_are_whole_and_load_nothing(html: str) -> None:
    images = [address for address in Page(html).addresses if address.startswith("data:")]
    assert len(images) == 2
    for image in images:
        root = ElementTree.fromstring(base64.b64decode(image.partition(",")[2]))
        assert root.tag.endswith("svg")
        links = [value for item in root.iter() for name, value in item.attrib.items() if name.endswith("href")]
        assert all(link.startswith("#") for link in links)


def test_the_calibration_is_named_once(html: str) -> None:
    text = Page(html).plain
    assert text.count("calibrated on") == 1
    assert "a-model, calibrated on 4711 tokens of text" in text


def test_every_figure_is_on_the_page(html: str) -> None:
    text = Page(html).plain
    for figure in (
        *("2.3 %", "28.8 %", "32481", "66.2 %", "76601", "12267", "62 thousand cycles", "3584 comparisons"),
        *("1536 of 1536", "2048 of 2048", "17473", "83640", "20.9 %", "41", "208", "19.7 %"),
        *("88.8 MHz", "112.7 MHz", "99.5 MHz", "113 %", "seed 3", "seed 9 (kept)", "ulx3s_85f", "LFE5U-85F"),
        *(
            "model.layers.7.mlp.up_proj",
            "a-model",
            "12 outputs, 50 inputs",
            "8 neurons \N{MULTIPLICATION SIGN} 2 lanes",
            "4711 tokens",
        ),
        *("20.1 s", "44.4 s", "amaranth 0.5.10", "torch 2.13.0", "1.95 MB", "512 B", "0123456789abcdef"),
        *("32 spikes in 42 ticks", "12 of 50 inputs are salient", "22 are silent", "held-out text", "5 of 50 columns"),
    ):
        assert figure in text, figure
    for token in record_of(layer()).tokens:
        row = "".join(f"{value}\n?" for value in (token.salient, token.silent, token.shift, token.spikes, token.ticks))
        assert re.search(row, text), token


def test_text_of_the_model_cannot_become_markup(html: str) -> None:
    assert HOSTILE not in html
    assert HOSTILE in Page(html).text
    assert "tiny <1>" in Page(html).text


def test_verdicts() -> None:
    vectors = layer()
    good, trace = record_of(vectors), trace_of(vectors)
    device = good.device
    assert device is not None
    wrong = Comparison(against="integers", how="a product", equal=2041, outputs=2048)
    saturated = good.simulation.model_copy(update={"saturated": 3})
    cases = [
        (good, "verdict good", "verdict good", True),
        (good.model_copy(update={"device": None}), "verdict good", "verdict none", True),
        (good.model_copy(update={"comparisons": [wrong]}), "verdict bad", "verdict good", False),
        (good.model_copy(update={"simulation": saturated}), "verdict bad", "verdict good", False),
        (
            good.model_copy(
                update={"device": device.model_copy(update={"timing_met": False, "bitstream_sha256": None})}
            ),
            *("verdict good", "verdict bad", False),
        ),
    ]
    for record, exactness, timing, ok in cases:
        page = Page(render_report(record, trace))
        assert (page.classes["exactness"], page.classes["timing"], record.ok) == (exactness, timing, ok)
    assert "7 of 2048 comparisons differ" in Page(render_report(cases[2][0], trace)).plain


def test_report_again_from_files(tmp_path: Path) -> None:
    vectors = layer()
    record, trace = record_of(vectors), trace_of(vectors)
    record.write(tmp_path / "demo" / RECORD)
    save_trace(tmp_path / "demo", trace)
    page = write_report(tmp_path / "demo")
    assert page == tmp_path / "demo" / REPORT
    assert page.read_text(encoding="utf-8") == render_report(record, trace)


def test_links_lead_to_the_demo_from_another_folder(tmp_path: Path) -> None:
    vectors = layer()
    record_of(vectors).write(tmp_path / "a demo" / RECORD)
    save_trace(tmp_path / "a demo", trace_of(vectors))
    page = write_report(tmp_path / "a demo", tmp_path / "pages" / "one.html")
    links = [link for link in Page(page.read_text(encoding="utf-8")).addresses if not link.startswith("data:")]
    targets = [(page.parent / unquote(link)).resolve() for link in links]
    assert targets == [(tmp_path / "a demo" / file.path).resolve() for file in record_of(vectors).files]


def test_record_and_trace_survive_their_files(tmp_path: Path) -> None:
    vectors = layer()
    record, trace = record_of(vectors), trace_of(vectors)
    record.write(tmp_path / RECORD)
    save_trace(tmp_path, trace)
    assert load_record(tmp_path) == record
    again = load_trace(tmp_path)
    assert all(np.array_equal(getattr(again, item.name), getattr(trace, item.name)) for item in fields(trace))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"shown": 1', '"shown": 3', "shown is 3, expected 0..2"),
        ('"outputs": 12', '"outputs": "twelve"', "outputs: "),
        ('"model": "a-model",', "", "model: Field required"),
        ("{", "", "Invalid JSON"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    record_of(layer()).write(tmp_path / RECORD)
    text = (tmp_path / RECORD).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / RECORD).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_record(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_trace_is_refused(tmp_path: Path) -> None:
    trace = trace_of(layer())
    for broken, message in [
        (replace(trace, membrane=trace.membrane[1:]), "membrane has shape"),
        (replace(trace, spike_phase=trace.spike_phase + 7), "an index outside of the phases"),
        (replace(trace, code=trace.code.astype(np.float64)), "'code' is missing or of the wrong type"),
    ]:
        save_trace(tmp_path, broken)
        with pytest.raises(InputError, match=message):
            load_trace(tmp_path)
    (tmp_path / TRACE).write_bytes(b"PK nonsense")
    with pytest.raises(InputError, match=r"not an \.npz file"):
        load_trace(tmp_path)
    with pytest.raises(InputError, match="cannot read the file"):
        load_trace(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected a demo's folder"):
        load_record(tmp_path / "nowhere")


@given(seed=st.integers(0, 1000), wide=st.integers(0, 5))
def test_curves_end_where_the_membrane_does(seed: int, wide: int) -> None:
    vectors = layer(seed=seed, wide=wide, tokens=1)
    trace = trace_of(vectors)
    curves = threshold_units(trace, TINY)
    assert curves.shape == (int(trace.phase_ticks.sum()) + 1, trace.neuron.size)
    last = (trace.final - vectors.bias[trace.neuron]) * 2**TINY.theta_fraction_bits / trace.theta
    assert np.allclose(curves[-1], last, rtol=1e-12)


@given(seed=st.integers(0, 1000))
def test_spikes_are_drawn_in_the_tick_in_which_they_fire(seed: int) -> None:
    vectors = layer(seed=seed, tokens=1)
    trace = trace_of(vectors)
    times = spike_times(trace)
    starts = np.concatenate([[0], np.cumsum(trace.phase_ticks)])
    assert np.array_equal(np.floor(times), starts[trace.spike_phase] + trace.spike_tick)
    assert (np.diff(times) > 0).all()
    assert trace.spike_tick.size == simulate(vectors, 0, TINY).spikes


def test_levels_are_counted_once_each() -> None:
    vectors = layer()
    trace = trace_of(vectors)
    assert trace.normal_count.sum() + trace.salient_count.sum() == vectors.level.size
    assert trace.salient_count.sum() == vectors.salient.sum()
    assert (trace.normal_level * trace.normal_count).sum() == vectors.level[~vectors.salient].sum()


def test_equal_data_gives_equal_pictures() -> None:
    vectors = layer()
    trace = trace_of(vectors)
    assert token_svg(trace, TINY, inputs=vectors.inputs) == token_svg(trace, TINY, inputs=vectors.inputs)
    assert levels_svg(trace) == levels_svg(trace)


def test_a_silent_token_without_salient_values_has_pictures() -> None:
    vectors = layer(wide=0, tokens=1)
    silent = replace(vectors, level=np.zeros_like(vectors.level), salient=np.zeros_like(vectors.salient))
    trace = trace_of(silent)
    assert trace.spike_tick.size == 0
    for svg in (token_svg(trace, TINY, inputs=vectors.inputs), levels_svg(trace)):
        assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_neurons_spread_over_the_codes() -> None:
    code = np.array([127, -3, 50, 0, -127, 7, 90, -60, 127, 20], np.int32)
    assert code[spread_neurons(code, count=3, largest=127)].tolist() == [-60, 7, 90]
    assert code[spread_neurons(code, count=10, largest=127)].tolist() == sorted(code.tolist())
    assert len(spread_neurons(code[:2], count=5, largest=127)) == 2


@given(heights=st.lists(st.floats(-100, 100), max_size=8), gap=st.floats(0.01, 20))
def test_labels_do_not_overlap(heights: list[float], gap: float) -> None:
    placed = spread_labels(heights, gap=gap)
    assert (np.diff(sorted(placed)) >= gap - 1e-9).all()
    assert sum(placed) == pytest.approx(sum(heights), abs=1e-6)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(np.array(placed)[order]) > 0).all()


def test_labels_that_stand_apart_stay() -> None:
    assert spread_labels([5.0, 1.0, 9.0], gap=3.0) == pytest.approx([5.0, 1.0, 9.0])
