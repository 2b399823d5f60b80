"""Bad input to crowd measures, case by case: each is refused or told, with the thing's name and the cure."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from api.cli import app
from edge.analysis import Analysis
from edge.config import CameraConfig
from edge.scene import Scene
from edge.site import Site
from edge.steadiness import MOVED, Steadiness
from models.detections import Tracks
from streams.learner import EVERY_S, LOOKS
from tests.support.views import CAMERA, noisy, seen, turned

SPOTS = ((-4, 8), (4, 8), (4, 16), (-4, 16), (0, 12), (-3, 10), (3, 14))
SQUARE = [[0.3, 0.6], [0.7, 0.6], [0.7, 0.9], [0.3, 0.9]]
CROWD_RULES = [
    *({"kind": f"crowd.{name}", "zone": "z"} for name in ("density", "forecast", "pressure", "surge")),
    {"kind": "crowd.counterflow", "zone": "z"},
    {"kind": "crowd.flow", "line": "l"},
]
LINE = {"id": "l", "points": [[0.3, 0.7], [0.7, 0.7]]}


def survey(spots=SPOTS, image=None):
    seen_at = CAMERA.project(np.array(spots, np.float64)) if image is None else np.array(image, np.float64)
    return [
        {"image": [round(float(v), 5) for v in at], "ground": [float(v) for v in spot]}
        for at, spot in zip(seen_at, spots, strict=True)
    ]


def swapped(points, one, other):
    points = [dict(point) for point in points]
    points[one]["ground"], points[other]["ground"] = points[other]["ground"], points[one]["ground"]
    return points


def zone(polygon=SQUARE, **more):
    return [{"id": "z", "polygon": polygon, **more}]


def in_pixels(points):
    return [{**p, "image": [p["image"][0] * 1920, p["image"][1] * 1080]} for p in points]


GOOD = survey()

REFUSED = {
    # calibration
    "three points": ({"ground": GOOD[:3]}, "ground", "four surveyed points or more, got 3"),
    "all points on one line": ({"ground": survey([(0, y) for y in range(8, 15)])}, "ground", "spread them"),
    "all on a slanted line": ({"ground": survey([(k, 8 + k) for k in range(5)])}, "ground", "spread them"),
    "three of four on one line": (
        {"ground": survey([(-4, 8), (0, 8), (4, 8), (0, 16)])},
        "ground",
        "three or more of them lie (nearly) on one line",
    ),
    "a point twice": ({"ground": [*GOOD[:3], GOOD[0]]}, "ground", "repeat each other"),
    "neighbours swapped, four points": (
        {"ground": swapped(GOOD[:4], 0, 1)},
        "ground[0]",
        "contradicts ground[1]: no camera sees these points so; are the two swapped?",
    ),
    "neighbours swapped, seven points": (
        {"ground": swapped(GOOD, 0, 1)},
        "ground[0]",
        "are the two swapped?",
    ),
    "two far points swapped": ({"ground": swapped(GOOD, 1, 5)}, "ground[1]", "contradicts ground[5]"),
    "two near points swapped": ({"ground": swapped(GOOD, 4, 6)}, "ground[4]", "measure this point again"),
    "points in pixels": ({"ground": in_pixels(GOOD)}, "ground[0].image", "give fractions of its width"),
    "a point that is no number": (
        {"ground": [*GOOD, {"image": [0.5, math.nan], "ground": [0, 12]}]},
        "ground[7].image[1]",
        "must be a finite number",
    ),
    # zones
    "a corner outside the picture": (
        {"zones": zone([[0.3, 0.6], [1.7, 0.6], [0.7, 0.9]])},
        "zones[0].polygon[1]",
        "[1.7, 0.6] lies outside the picture: give fractions",
    ),
    "a zone in pixels": (
        {"zones": zone([[300, 600], [700, 600], [700, 900]])},
        "zones[0].polygon[0]",
        "give fractions",
    ),
    "a zone in metres out of view": (
        {"ground": GOOD, "zones": zone([[100, 8], [104, 8], [104, 12]], units="ground")},
        "zones[0].polygon",
        "lies outside the picture: check its metres",
    ),
    "a zone in metres behind the camera": (
        {"ground": GOOD, "zones": zone([[-4, -18], [4, -18], [4, -26]], units="ground")},
        "zones[0].polygon",
        "lies outside the picture: check its metres",
    ),
    "a zone that reaches into the sky": (
        {"ground": GOOD, "zones": zone([[0.2, 0.01], [0.8, 0.01], [0.8, 0.9]])},
        "zones[0].polygon[0]",
        "above the horizon, where there is no ground: draw it lower",
    ),
    "a zone in metres without ground": (
        {"zones": zone([[0, 12], [4, 12], [4, 16]], units="ground")},
        "zones[0].units",
        "need surveyed ground points",
    ),
    "a zone that crosses itself": (
        {"zones": zone([[0.3, 0.6], [0.7, 0.9], [0.7, 0.6], [0.3, 0.9]])},
        "zones[0].polygon",
        "crosses itself: list the corners in order",
    ),
    "a zone in metres that crosses itself": (
        {"ground": GOOD, "zones": zone([[-4, 8], [4, 16], [4, 8], [-4, 16]], units="ground")},
        "zones[0].polygon",
        "crosses itself: list the corners in order",
    ),
    "a zone that folds back on itself": (
        {"zones": zone([[0.2, 0.2], [0.8, 0.2], [0.5, 0.2], [0.5, 0.8]])},
        "zones[0].polygon",
        "crosses itself",
    ),
    "a zone without area": (
        {"zones": zone([[0.2, 0.2], [0.5, 0.5], [0.8, 0.8]])},
        "zones[0].polygon",
        "no area: give its corners in order around the place",
    ),
    "a zone of hardly any area": (
        {"zones": zone([[0.2, 0.2], [0.2005, 0.2], [0.2005, 0.2005]])},
        "zones[0].polygon",
        "no area",
    ),
    "a zone in metres without area": (
        {"ground": GOOD, "zones": zone([[-4, 8], [0, 12], [4, 16]], units="ground")},
        "zones[0].polygon",
        "no area",
    ),
    "two corners": ({"zones": zone(SQUARE[:2])}, "zones[0].polygon", "at least 3 entries, has 2"),
    "a corner twice": ({"zones": zone([*SQUARE, SQUARE[0]])}, "zones[0].polygon", "leave one of the two out"),
    "an endless zone": (
        {"zones": zone([[0.2, 0.2], [math.inf, 0.2], [0.5, 0.8]])},
        "zones[0].polygon[1][0]",
        "must be a finite number",
    ),
    # what zones hold
    "a capacity of 0": (
        {"zones": zone(capacity=0)},
        "zones[0].capacity",
        "at least 1, the persons that it may",
    ),
    "a negative capacity": ({"zones": zone(capacity=-5)}, "zones[0].capacity", "leave it out where none is"),
    "half a person": ({"zones": zone(capacity=2.5)}, "zones[0].capacity", "must be a whole number"),
    "no walkable ground": (
        {"ground": GOOD, "zones": zone(walkable_m2=0)},
        "zones[0].walkable_m2",
        "must be greater than 0",
    ),
    "more walkable ground than there is": (
        {"ground": GOOD, "zones": zone(walkable_m2=9999)},
        "zones[0].walkable_m2",
        "is more than the polygon's",
    ),
    # rules without what they need
    "density of nothing": (
        {"zones": zone(), "rules": [{"kind": "crowd.density", "zone": "z"}]},
        "rules[0].zone",
        "four or more surveyed ground points, or the zone a capacity",
    ),
    "pressure without ground": (
        {"zones": zone(capacity=9), "rules": [{"kind": "crowd.pressure", "zone": "z"}]},
        "rules[0].zone",
        "sharpeyes calibrate",
    ),
}

WARNED = {
    "four points tell no error": ({"ground": GOOD[:4]}, "survey seven or more"),
    "opposite points swapped": ({"ground": swapped(GOOD[:4], 0, 2)}, "or two of its points are swapped"),
    "x and y swapped in the picture": (
        {"ground": [{**p, "image": p["image"][::-1]} for p in GOOD]},
        "or two of its points are swapped",
    ),
    "a survey in centimetres": (
        {"ground": [{**p, "ground": [100 * v for v in p["ground"]]} for p in GOOD]},
        "the survey puts the camera 500 m above the ground: are its points in metres?",
    ),
    "a zone that is partly seen": (
        {"ground": GOOD, "zones": zone([[-4, -8], [4, -8], [4, 16], [-4, 16]], units="ground")},
        "the picture shows 38% of it",
    ),
    "a zone far from the survey": (
        {"ground": GOOD, "zones": zone([[-30, 8], [30, 8], [30, 60], [-30, 60]], units="ground")},
        "far beyond the surveyed points",
    ),
}


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHARPEYES_DEBUG", "SHARPEYES_LOG", "SHARPEYES_REDIS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "500")


def written(tmp_path: Path, section: dict, source: str = "rtsp://camera/1") -> Path:
    path = tmp_path / "site.yaml"
    cameras = [{"id": "gate", "source": source, **section}]
    path.write_text(yaml.safe_dump({"node": {"id": "n", "district": "360103"}, "cameras": cameras}))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(("section", "key", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_with_line_key_and_cure(tmp_path: Path, section: dict, key: str, words: str) -> None:
    path = written(tmp_path, section)
    result = invoke("check", path)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert f"{path}:" in line
    assert f"cameras[0].{key}: " in line
    assert words in line


@pytest.mark.parametrize(("section", "words"), WARNED.values(), ids=WARNED)
def test_accepted_with_a_warning(tmp_path: Path, section: dict, words: str) -> None:
    result = invoke("check", written(tmp_path, section))
    assert result.exit_code == 0, result.output
    assert words in result.stderr


def test_a_good_one_is_accepted_without(tmp_path: Path) -> None:
    result = invoke("check", written(tmp_path, {"ground": GOOD, "zones": zone(capacity=20), "lines": [LINE]}))
    assert result.exit_code == 0, result.output
    assert not {words for _, words in WARNED.values() if words in result.stderr}


POINTS = {
    "all on one line": (survey([(0, y) for y in range(8, 15)]), "spread them over the ground"),
    "three of four on one line": (survey([(-4, 8), (0, 8), (4, 8), (0, 16)]), "(nearly) on one line"),
    "a point twice": ([*GOOD[:3], GOOD[0]], "repeat each other"),
    "neighbours swapped": (swapped(GOOD, 0, 1), "are the two swapped?"),
    "near points swapped": (swapped(GOOD, 4, 6), "measure this point again"),
    "in pixels": (in_pixels(GOOD), "--pixels WxH"),
    "three points": (GOOD[:3], "four surveyed points or more, got 3"),
}

RECTANGLES = {
    "corners across": ("0.1,0.9 0.7,0.5 0.9,0.9 0.3,0.5", "try the order 1, 3, 2, 4"),
    "three corners on one line": ("0.1,0.9 0.5,0.9 0.9,0.9 0.3,0.5", "(nearly) on one line"),
    "a corner twice": ("0.1,0.9 0.9,0.9 0.9,0.9 0.3,0.5", "corners 2 and 3 at the same point"),
}


@pytest.mark.parametrize(("points", "words"), POINTS.values(), ids=POINTS)
def test_calibrate_refuses_points(tmp_path: Path, points: list, words: str) -> None:
    table = tmp_path / "survey.csv"
    rows = [",".join(map(str, (*point["image"], *point["ground"]))) for point in points]
    table.write_text("\n".join(("x,y,ground_x,ground_y", *rows)) + "\n")
    result = invoke("calibrate", written(tmp_path, {}), "--points", table)
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("corners", "words"), RECTANGLES.values(), ids=RECTANGLES)
def test_calibrate_refuses_rectangles(tmp_path: Path, corners: str, words: str) -> None:
    result = invoke("calibrate", written(tmp_path, {}), "--rectangle", corners, "--size", "8x5")
    assert result.exit_code == 1, result.output
    assert words in result.stderr


EMPTY = "sim://plaza?scenario=walk&people=0&size=320x180&fps=5&seconds=4"


def test_nobody_for_a_whole_clip_is_calm_and_measured(tmp_path: Path) -> None:
    """Empty is 0 people and 0 persons/m2, not unknown, and no rule makes an event of it."""
    section = {"ground": GOOD, "zones": zone(capacity=20), "lines": [LINE], "rules": CROWD_RULES}
    config = written(tmp_path, section, EMPTY)
    events, counts = tmp_path / "e.jsonl", tmp_path / "c.csv"
    result = invoke("analyse", EMPTY, "--config", config, "--events", events, "--counts", counts)
    assert result.exit_code == 0, result.output
    assert events.read_text() == ""
    rows = list(csv.DictReader(io.StringIO(counts.read_text())))
    assert len(rows) >= 15
    assert {(row["count"], float(row["density_per_m2"])) for row in rows} == {("0", 0.0)}


def test_a_report_of_nobody_is_drawn(tmp_path: Path) -> None:
    section = {"ground": GOOD, "zones": zone(capacity=20), "rules": CROWD_RULES[:1]}
    report = tmp_path / "report.html"
    result = invoke("analyse", EMPTY, "--config", written(tmp_path, section, EMPTY), "--plot", report)
    assert result.exit_code == 0, result.output
    text = report.read_text()
    assert "</html>" in text
    assert "nan" not in text.lower().split()


def test_nobody_calibrates_no_camera(tmp_path: Path) -> None:
    result = invoke("calibrate", written(tmp_path, {}, EMPTY), "--walkers", "--minutes", "0.1")
    assert result.exit_code == 1
    assert "nobody was seen" in result.stderr


def test_nobody_is_judged_by_every_rule_without_a_number_that_is_none() -> None:
    camera = CameraConfig.model_validate(
        {
            "id": "gate", "source": "x.mp4", "ground": GOOD, "zones": zone(capacity=20), "lines": [LINE],
            "rules": CROWD_RULES,
        }
    )  # fmt: skip
    watcher = Analysis(camera, Site.from_config(camera), ("person",))
    for k in range(100):
        look = watcher.update(Tracks.empty(), 0.2 * k, Scene((1280, 720)))
        for observation in look.observations:
            assert observation.level is None
            assert all(math.isfinite(value) for value in observation.measures.values())


def test_a_moved_camera_loses_its_ground_and_says_so() -> None:
    camera = CameraConfig.model_validate(
        {"id": "gate", "source": "x.mp4", "ground": GOOD, "zones": zone(), "rules": CROWD_RULES[:1]}
    )
    site = Site.from_config(camera)
    steady, watcher = Steadiness(camera, site, None), Analysis(camera, site, ("person",))
    for k in range(LOOKS):
        assert steady.look(noisy(seen(), k), k * EVERY_S) is None
    for k in range(7):
        steady.look(noisy(seen(camera=turned(pan=3.0)), k), LOOKS * EVERY_S + 2.0 * k)
    assert steady.observation().level == 3
    watcher.ground_lost = steady.ground_lost
    look = watcher.update(Tracks.empty(), 1000.0)
    assert look.unavailable == {"crowd.density/z": MOVED}
    assert "sharpeyes calibrate" in MOVED
