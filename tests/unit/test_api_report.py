"""A clip's report: what is in it, what must not be, and that its size does not grow with the clip."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.cli import app
from api.errors import CommandError
from api.report import page, palette, raster, svg
from api.report.chart import Thresholds
from api.report.drawing import Sheet, Stroke
from api.report.gather import Gathering
from api.report.lanes import lanes_of
from api.report.page import About, Report
from api.report.scales import Panel, ceiling
from api.report.timeline import BINS, MAX_SPANS, Bins, Span
from api.report.words import Words
from edge.analysis import ZoneCount
from edge.config import CameraConfig, Place
from edge.offline import Step
from edge.site import Site
from tests.support.report import PLAZA, Teller, about, camera, crowd, end, gathered, look, renamed

DENSITY = {"kind": "crowd.density", "zone": PLAZA.crowd.id}
NS = "{http://www.w3.org/2000/svg}"
WICKED = "</text><script>alert(1)</script>\"'&\x01"


class Page(HTMLParser):
    """An HTML file's elements, and its drawings as trees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)
        parts = text.split("<svg")[1:]
        self.drawings = [ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>") for part in parts]  # noqa: S314

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data.strip())

    def drawing(self, role: str) -> ET.Element:
        return next(drawing for drawing in self.drawings if drawing.get("class") == role)


def roles(drawing: ET.Element) -> list[str]:
    return [element.get("class") or element.get("data-role") or "" for element in drawing.iter()]


def texts(drawing: ET.Element, language: str = "en") -> list[str]:
    found = drawing.iter(f"{NS}text")
    return [element.text or "" for element in found if element.get("lang", language) == language]


def built(config: CameraConfig, steps: int | None = None) -> Report:
    return page.build(gathered(config, steps), about(config))


@pytest.fixture(scope="module")
def full() -> Report:
    return built(camera(rules=[DENSITY]))


def reread(report: Report) -> Page:
    return Page(page.html(report))


def test_counts_levels_and_map_are_drawn(full: Report) -> None:
    shown = reread(full)
    worst = shown.drawing("zone")
    assert f"Zone {PLAZA.crowd.id}" in texts(worst)
    for role in ("band", "line", "incident l4", "incident l3", "incident l1", "incident l2", "shade l1"):
        assert role in roles(worst), role
    assert roles(worst).count("incident l1") == 1
    assert {f"threshold l{level}" for level in (4, 3, 2)} <= set(roles(worst))
    assert any("Crowd density · at worst L1 red" in text for text in texts(worst))
    assert any("人群密度 · 最高 一级 红" in text for text in texts(worst, "zh"))
    assert any("people on average, at most 60" in text for text in texts(worst))
    ground = shown.drawing("map")
    for role in ("density", "zone", "watched-line", "worst-cell", "scale-bar", "metres", "camera", "seen"):
        assert role in roles(ground), role
    assert {"Mean of 121 looks", "persons/m²"} <= set(texts(ground))
    assert any(text.startswith("Worst moment, at 0:") for text in texts(ground))
    assert any(f"rule of zone {PLAZA.crowd.id}" in text for text in texts(ground))
    assert any("Line crossed" in text and "3 times" in text for text in texts(shown.drawing("others")))
    assert roles(shown.drawing("others")).count("moment l3") == 3


def test_the_map_is_true_to_scale() -> None:
    config = camera()
    shown = reread(built(config)).drawing("map")
    bar = next(e for e in shown.iter() if e.get("class") == "scale-bar")
    length = next(float(t.removesuffix(" m")) for t in texts(shown) if t.endswith(" m"))
    per_m = np.ptp(_points(bar)[:, 0]) / length
    zones = [e for e in shown.iter() if e.get("class") == "zone"]
    sizes = {tuple(np.round(np.ptp(_points(e), axis=0) / per_m, 1)) for e in zones}
    site = Site.from_config(config)
    assert sizes == {tuple(np.round(np.ptp(z.floor.polygon, axis=0), 1)) for z in site.zones if z.floor}
    ring = next(e for e in shown.iter() if e.get("class") == "worst-cell")
    assert np.ptp(_points(ring)[:, 0]) / per_m == pytest.approx(2 * np.sqrt(4 / np.pi), abs=0.03)


def _points(element: ET.Element) -> np.ndarray:
    steps = (element.get("d") or "").strip("MZ").split("L")
    return np.array([[float(x) for x in step.split()] for step in steps])


def test_a_map_of_a_left_handed_survey_is_no_mirror() -> None:
    mirrored = camera().model_dump()
    for point in mirrored["ground"]:
        point["ground"] = (point["ground"][0], -point["ground"][1])
    for section, key in (("zones", "polygon"), ("lines", "points")):
        for item in mirrored[section]:
            item[key] = [(x, -y) for x, y in item[key]]
    usual, other = camera(), CameraConfig.model_validate({**mirrored, "source": "clip"})
    maps = []
    for config in (usual, other):
        site = Site.from_config(config)
        gathering = Gathering(site, 5.0)
        gathering.add(Step(0.0, None, {}, (), crowd(0)))
        maps.append(reread(page.build(gathering, about(config))).drawing("map"))
    outlines = [[_points(e) for e in m.iter() if e.get("class") == "zone"] for m in maps]
    for one, two in zip(*outlines, strict=True):
        assert np.abs(one - two).max() < 0.2
    assert any("second axis" in text for text in texts(maps[1]))


def test_nothing_is_fetched_and_no_picture_is_in_it(full: Report) -> None:
    text = page.html(full)
    shown = Page(text)
    assert not shown.tags & {"script", "img", "image", "iframe", "object", "embed", "link", "video", "canvas"}
    assert not shown.attributes & {"src", "href", "srcset", "xlink:href", "style"}
    assert not any(name.startswith("on") for name in shown.attributes)
    without_namespace = text.replace("http://www.w3.org/2000/svg", "")
    for part in ("http:", "https:", "data:", "base64", "url(", "@import"):
        assert part not in without_namespace, part
    assert "default-src 'none'" in text


def test_names_are_text_whatever_is_in_them() -> None:
    config = camera(place=Place(name="<b onclick='x'>square</b>"))
    site = renamed(Site.from_config(config), WICKED)
    gathering = Gathering(site, 5.0)
    for k in range(3):
        gathering.add(look(site, k / 5, crowd(20)))
    gathering.spans.all.append(Span(WICKED, WICKED, 0.0, [(0.2, 2)], 0.4))
    report = page.build(gathering, About(f"clip{WICKED}.mp4", config, WICKED))
    text = page.html(report)
    shown = Page(text)
    assert not shown.tags & {"script", "b"}
    assert "onclick" not in shown.attributes
    assert "Zone </text><script>alert(1)</script>\"'&\ufffd" in texts(shown.drawing("zone"))
    assert page.png(report)


def test_an_empty_clip_says_so() -> None:
    report = built(camera(rules=[DENSITY]), steps=0)
    shown = reread(report)
    assert any("No picture of this clip could be analysed" in text for text in shown.text)
    assert not any(d.get("class") == "map" for d in shown.drawings)
    assert page.png(report)


def test_one_picture_is_a_dot_with_its_error() -> None:
    config = camera(rules=[DENSITY])
    site = Site.from_config(config)
    gathering = Gathering(site, config.analysed_fps)
    gathering.add(look(site, 3.0, crowd(30)))
    gathering.add(end(3.0))
    report = page.build(gathering, about(config))
    worst = reread(report).drawing("zone")
    assert roles(worst).count("line") == 3
    assert "band" in roles(worst)
    assert "Mean of 1 looks" in texts(reread(report).drawing("map"))
    assert page.png(report)


def test_without_calibration_counts_only_with_the_cure() -> None:
    config = camera(calibrated=False, rules=[{"kind": "crowd.density", "zone": "all"}])
    report = built(config)
    shown = reread(report)
    assert [d.get("class") for d in shown.drawings] == ["zone", "others"]
    assert any("not calibrated" in text for text in shown.text)
    assert any("sharpeyes calibrate CONFIG --camera square" in text for text in shown.text)
    zone = shown.drawing("zone")
    assert "People in the zone" in texts(zone)
    assert "Persons per m²" not in texts(zone)
    assert [r for r in roles(zone) if r.startswith("threshold")]  # of the declared capacity
    assert page.png(report)


def test_without_zones_it_says_why_nobody_is_counted() -> None:
    config = CameraConfig.model_validate({**camera().model_dump(), "source": "clip", "zones": []})
    gathering = Gathering(Site.from_config(config), 5.0)
    gathering.add(Step(0.0, None, {}, (), crowd(3)))
    assert any("no zone" in text for text in reread(page.build(gathering, about(config))).text)


def test_a_detector_without_persons_counts_nobody() -> None:
    config = camera()
    gathering = Gathering(Site.from_config(config), 5.0)
    gathering.add(Step(0.0, None, {}, ()))
    shown = reread(page.build(gathering, about(config)))
    assert any("the detector knows no persons" in text for text in texts(shown.drawing("zone")))


def test_an_empty_scene_has_a_mean_and_no_worst_moment() -> None:
    config = camera()
    site = Site.from_config(config)
    gathering = Gathering(site, 5.0)
    for k in range(10):
        gathering.add(look(site, k / 5, crowd(0)))
    shown = reread(page.build(gathering, about(config))).drawing("map")
    assert "Nobody was seen on this ground." in texts(shown)
    assert "worst-cell" not in roles(shown)
    assert any("the usual ones" in text for text in texts(shown))


def test_many_zones_are_all_in_the_page_and_the_worst_in_the_picture() -> None:
    config = camera(zones=64)
    report = built(config, steps=20)
    shown = reread(report)
    assert sum(d.get("class") == "zone" for d in shown.drawings) == 64
    names = [e for e in shown.drawing("map").iter() if e.get("data-role") == "zone-name"]
    assert 0 < len(names) <= 128
    picture = cv2.imdecode(np.frombuffer(page.png(report), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[0] < 9000
    assert len(page.html(report)) < 3_000_000


def test_worst_zones_come_first() -> None:
    config = camera(rules=[DENSITY])
    gathering = gathered(config)
    cards = page.build(gathering, about(config)).cards
    first = next(card for card in cards if card.role == "zone")
    worst = min((span for span in gathering.spans.all), key=lambda span: span.worst)
    assert first.title.en == f"Zone {worst.zone}"


def test_a_picture_of_the_report(full: Report, tmp_path: Path) -> None:
    report = full
    for language in ("en", "zh"):
        page.save(tmp_path / f"{language}.png", report, language)
    english, chinese = ((tmp_path / f"{code}.png").read_bytes() for code in ("en", "zh"))
    assert english != chinese
    assert english == page.png(report)
    picture = cv2.imdecode(np.frombuffer(english, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == 2000
    colours = {tuple(c) for c in picture.reshape(-1, 3).tolist()}
    for level in (1, 2, 3, 4):
        red, green, blue = palette.rgb(palette.LEVELS[level])
        assert (blue, green, red) in colours


def test_the_same_clip_gives_the_same_bytes(tmp_path: Path) -> None:
    source = "sim://plaza?scenario=crowding&seconds=3&size=320x180&fps=5&seed=2"
    written = []
    for name in ("a.html", "b.html", "c.png"):
        result = CliRunner().invoke(app, ["analyse", source, "--plot", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert b"Zone picture" in written[0]
    assert b"not calibrated" in written[0]
    assert written[2].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "text"), [("report.pdf", "ends in .html or .png"), ("none/report.html", "there is no folder")]
)
def test_a_plot_that_could_not_be_written_is_refused_at_once(tmp_path: Path, name: str, text: str) -> None:
    result = CliRunner().invoke(app, ["analyse", "sim://gate?seconds=1", "--plot", str(tmp_path / name)])
    assert isinstance(result.exception, CommandError | SystemExit)
    assert result.exit_code != 0
    assert text in result.output + str(result.exception)


def test_a_report_of_many_hours_is_no_larger() -> None:
    config = camera(calibrated=False, analysed_fps=1)
    site = Site.from_config(config)
    gathering = Gathering(site, 1.0)
    tell = Teller()
    n = 40 * BINS
    for k in range(n):
        count = 7 if k == n // 2 else 3
        events = ()
        if k % 1000 == 0:
            crossing = tell.incident()
            events = tuple(tell(crossing, p, 3, "all", k, kind="hazard.line") for p in ("begin", "end"))
        gathering.add(Step(float(k), None, {"all": ZoneCount(count, count_stderr=0.5)}, events))
    trace = gathering.traces["all"]
    assert (trace.count.value, trace.count.pts_s) == (7, n // 2)
    curve = trace.counts(gathering.bins)
    assert BINS / 2 <= len(curve.pts_s) <= BINS
    assert gathering.bins.looks.sum() == n
    assert curve.values.mean() == pytest.approx(trace.mean_count, rel=0.01)
    assert curve.stderr == pytest.approx(0.5)
    assert np.diff(curve.pts_s) == pytest.approx(gathering.bins.width_s)
    moments = gathering.spans.moments["hazard.line", "all"]
    assert moments.total == moments.counts.sum() == 24
    assert len(page.html(page.build(gathering, about(config)))) < 100_000


def test_the_worst_of_joined_bins_is_kept_with_its_error() -> None:
    config = camera()
    site = Site.from_config(config)
    gathering = Gathering(site, 5.0)
    zone = site.zones[0].id
    for k in range(3 * BINS):
        worst = 4.0 if k == 700 else 1.0
        gathering.add(Step(k / 5, None, {zone: ZoneCount(1, 0.1, worst, 0.3, 0.02)}, ()))
    curve = gathering.traces[zone].worst_density(gathering.bins)
    assert np.sort(curve.values)[-2:] == pytest.approx([1.0, 4.0])
    assert curve.pts_s[curve.values.argmax()] == pytest.approx(140.0, abs=gathering.bins.width_s)


@given(st.lists(st.floats(0.01, 50.0), min_size=1, max_size=300), st.floats(0.05, 2.0))
def test_every_look_falls_into_one_bin_at_its_time(gaps: list[float], width_s: float) -> None:
    bins = Bins(width_s)
    times = np.cumsum(gaps)
    for at_s in times.tolist():
        bins.add(bins.place(at_s)[0], at_s)
    rows = np.flatnonzero(bins.looks)
    assert bins.looks.sum() == len(times)
    assert (bins.begin_s, bins.end_s) == (times[0], times[-1])
    assert (bins.pts_s(rows) * bins.looks[rows]).sum() == pytest.approx(times.sum())
    assert (np.diff(bins.pts_s(rows)) > 0).all()


def test_a_time_without_looks_is_a_gap() -> None:
    config = camera(calibrated=False)
    site = Site.from_config(config)
    gathering = Gathering(site, 5.0)
    for pts_s in (*np.arange(0, 10, 0.2), *np.arange(30, 40, 0.2)):
        gathering.add(look(site, float(pts_s), crowd(5)))
    zone = reread(page.build(gathering, about(config))).drawing("zone")
    assert roles(zone).count("line") == 2


def test_an_incident_that_the_clip_cuts_off_is_marked_open() -> None:
    config = camera(calibrated=False)
    site = Site.from_config(config)
    gathering, tell = Gathering(site, 5.0), Teller()
    incident = tell.incident()
    gathering.add(look(site, 0.0, crowd(5), (tell(incident, "begin", 2, "all", 0.0),)))
    gathering.add(look(site, 5.0, crowd(5)))
    ended = {"incidents_ended_by_shutdown": 1.0}
    gathering.add(end(5.0, (tell(incident, "end", 2, "all", 5.0, measures=ended),)))
    assert gathering.spans.all[0].cut
    assert "open" in roles(reread(page.build(gathering, about(config))).drawing("zone"))


def test_what_is_too_much_to_draw_is_counted() -> None:
    config = camera(calibrated=False)
    site = Site.from_config(config)
    gathering, tell = Gathering(site, 5.0), Teller()
    for k in range(MAX_SPANS + 3):
        incident = tell.incident()
        for phase in ("begin", "end"):
            event = tell(incident, phase, 3, "all", k / 5)  # type: ignore[arg-type]
            gathering.spans.add(Step(k / 5, None, {}, (event,)))
    assert len(gathering.spans.all) == MAX_SPANS
    assert gathering.spans.omitted == 3
    gathering.add(look(site, 9.0, crowd(1)))
    shown = reread(page.build(gathering, about(config)))
    assert "3 more incidents are not drawn." in shown.text


def test_thresholds_of_zones() -> None:
    config = camera(rules=[DENSITY])
    site = Site.from_config(config)
    watched = Thresholds.of(site.zone(PLAZA.crowd.id), config.rules)
    assert watched.per_m2 == ((4, 2.0), (3, 3.0), (2, 4.0), (1, 5.0))
    others = [zone for zone in site.zones if zone.id != PLAZA.crowd.id]
    assert all(Thresholds.of(zone, config.rules) == Thresholds() for zone in others)


def test_zones_inside_others_are_laid_out_once() -> None:
    config = CameraConfig.model_validate(
        {
            **camera().model_dump(),
            "source": "clip",
            "zones": [
                {"id": "outer", "units": "ground", "polygon": [(-4, 8), (4, 8), (4, 16), (-4, 16)]},
                {"id": "inner", "units": "ground", "polygon": [(-2, 10), (2, 10), (2, 14), (-2, 14)]},
            ],
        }
    )
    gathering = Gathering(Site.from_config(config), 5.0)
    assert gathering.spread is not None
    assert [zone.id for zone in gathering.spread.zones] == ["outer"]


def test_lanes_of_no_incident_are_none() -> None:
    assert lanes_of(gathered(camera(), steps=5).spans, lambda _: True).rows == []


def test_colours_go_from_light_to_dark() -> None:
    light = [sum(palette.rgb(c)) for c in palette.density_colours(32)]
    assert light == sorted(light, reverse=True)
    assert light[0] > 600
    assert light[-1] < 120


@given(st.floats(1e-3, 1e5))
def test_an_axis_holds_its_value(value: float) -> None:
    assert value * (1 - 1e-6) <= ceiling(value) <= 2 * value + 1e-6


def test_a_panel_keeps_what_lies_outside_at_its_edge() -> None:
    panel = Panel(10, 20, 100, 50, 0.0, 10.0, 4.0)
    assert panel.x([-1, 0, 5, 11]).tolist() == [10, 10, 60, 110]
    assert panel.y([0, 2, 9]).tolist() == [70, 45, 20]


def test_the_painter_paints_dashes_tints_and_text() -> None:
    card = Sheet(100, 60, Words.same("x"))
    card.path([(0, 10), (100, 10)], Stroke("#000000", 2, (10, 10)))
    card.rect(0, 20, 100, 40, fill="#ff0000", opacity=0.5)
    card.rect(-500, 20, -400, 40, fill="#ff0000", opacity=0.5)  # off the sheet
    card.text(50, 55, Words("middle", "中"), anchor="middle", halo=True)
    picture = raster.paint([card], "en", scale=1, margin=0)
    assert picture.shape == (60, 100, 3)
    row = picture[9, :, 0]
    assert row[5] < 50
    assert row[15] > 200
    assert picture[30, 50].tolist() == pytest.approx([128, 128, 255], abs=2)
    ink = np.flatnonzero((picture[45:] < 128).any(axis=(0, 2)))
    assert 50 - ink.min() == pytest.approx(ink.max() - 50, abs=3)
    assert (raster.paint([card], "zh", scale=1, margin=0) != picture).any()


def test_svg_of_each_mark() -> None:
    card = Sheet(10, 10, Words("a<b", "甲"), "r")
    card.path([], Stroke("#000000"))
    card.path([(0, 0), (1.26, -0.001)], Stroke("#000000", 2, (1, 2)))
    card.cells(np.zeros((1, 4, 2)), "#ffffff", "c")
    card.text(1, 2, Words("<", "<"), halo=True, bold=True, anchor="end")
    text = svg.write(card)
    assert 'aria-label="a&lt;b 甲"' in text
    assert 'd="M0 0L1.3 0"' in text
    assert 'stroke-dasharray="1 2"' in text
    assert ">&lt;</text>" in text
