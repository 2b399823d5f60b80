"""`sharpeyes calibrate`: what is typed, what is printed, and what is refused."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from api import calibration, ground_picture
from api.cli import app
from edge.calibrate import from_points, from_rectangle
from edge.load import load_config
from streams.errors import ReadError
from streams.picture import ArrayPicture
from streams.sim.places import PLACES

PLAZA = PLACES["plaza"].camera
GROUND = np.array([[-4, 8], [4, 8], [5, 12], [-6, 13], [0, 10], [8, 18], [-8, 20], [0, 22]], np.float64)
CORNERS = "8,881 1912,881 1501,523 419,523"  # 12 m by 8 m of the plaza, in 1920x1080
CONFIG = """
node: {{id: test, district: "360103"}}
cameras:
  - id: plaza
    source: {source}
    zones:
      - {{id: all, polygon: [[0.2, 0.5], [0.8, 0.5], [0.8, 0.9], [0.2, 0.9]]}}
"""

Calibrate = Callable[..., Result]


@pytest.fixture
def calibrate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrate:
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("SHARPEYES_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def call(
        *arguments: object, source: str = "sim://plaza?scenario=quiet&size=320x180&fps=5&seconds=8"
    ) -> Result:
        config = tmp_path / "site.yaml"
        config.write_text(CONFIG.format(source=source))
        return CliRunner().invoke(app, ["calibrate", str(config), *map(str, arguments)])

    return call


def table(path: Path, *, header: str = "x,y,ground_x,ground_y", rows: slice = slice(None)) -> Path:
    ground = GROUND + np.random.default_rng(0).normal(0, 0.03, GROUND.shape)
    lines = [
        ",".join(f"{v:.4f}" for v in row) for row in np.column_stack((PLAZA.project(GROUND), ground))[rows]
    ]
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def test_help_shows_examples(calibrate: Calibrate) -> None:
    result = CliRunner().invoke(app, ["calibrate", "--help"])
    assert result.exit_code == 0
    assert "Examples" in result.output
    for way in ("--points", "--rectangle", "--walkers"):
        assert way in result.output


def test_points_print_what_the_configuration_takes(calibrate: Calibrate, tmp_path: Path) -> None:
    result = calibrate("--points", table(tmp_path / "survey.csv"), "--camera", "plaza")
    assert result.exit_code == 0, result.output
    assert "camera 4.99" in result.stderr
    assert "each point against the others" in result.stderr
    assert "a cell of 4 m²" in result.stderr
    config = tmp_path / "calibrated.yaml"
    config.write_text((tmp_path / "site.yaml").read_text() + result.stdout)
    camera = load_config(config).cameras[0]
    assert len(camera.ground) == 8
    assert camera.ground_error_m is not None
    assert camera.ground_area_error is not None
    checked = CliRunner().invoke(app, ["check", str(config)])
    assert checked.exit_code == 0
    assert f"{camera.ground_error_m:.2f} m" in checked.output


def test_a_rectangle_in_pixels_with_a_check_and_a_picture(calibrate: Calibrate, tmp_path: Path) -> None:
    out = tmp_path / "ground.png"
    result = calibrate(
        "--rectangle", CORNERS, "--size", "12x8", "--pixels", "1920x1080", "--hfov", "62",
        "--check", "8,881 1912,881 12", "--picture", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "62 ±0." in result.stderr
    assert "check of 12 m comes out as 12.00 m" in result.stderr
    picture = cv2.imread(str(out))
    assert picture.shape == (1080, 1920, 3)
    assert (picture[:40, -200:] == 250).all()  # the sky is empty
    assert (picture != 250).any(axis=2).mean() > 0.01


def test_the_picture_shows_people_as_tall_as_they_are() -> None:
    found = from_points(PLAZA.project(GROUND), GROUND)
    drawn = ground_picture.draw(found, (640, 360))
    foot, head = found.plane.to_image([[0, 15]])[0], found.pinhole.to_image_at([[0, 15]], 1.7)[0]
    middle = np.round((foot + head) / 2 * (640, 360)).astype(int)
    around = drawn[middle[1], middle[0] - 2 : middle[0] + 3]
    assert (np.abs(around.astype(int) - (40, 110, 20)).sum(axis=1) < 60).any()


def test_a_ground_without_a_camera_is_drawn_without_people() -> None:
    square = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
    drawn = ground_picture.draw(from_rectangle(square, 9.6, 5.4), (320, 180))
    assert (drawn != 250).any()


BOX = ((0.1, 0.9), (0.9, 0.9), (0.7, 0.5), (0.3, 0.5))
RECTANGLE = ("--rectangle", "0.1,0.9 0.9,0.9 0.7,0.5 0.3,0.5", "--size")
WRONG = (
    ((), 2, "say how"),
    (("--walkers", *RECTANGLE, "8x5"), 2, "say how"),
    (RECTANGLE[:2], 2, "go together"),
    (("--walkers", "--size", "8x5"), 2, "go together"),
    (("--walkers", "--check", "0.1,0.9 0.9,0.9 3"), 2, "--check goes with"),
    (("--walkers", "--hfov", "200"), 2, "5 to 150 degrees"),
    ((*RECTANGLE, "8 by 5"), 2, "metres like 12x8"),
    ((*RECTANGLE, "0x5"), 1, "width of 0 m"),
    ((*RECTANGLE, "8x5", "--pixels", "HD"), 2, "--pixels takes"),
    ((*RECTANGLE, "8x5", "--check", "0.1,0.9 0.9 3"), 2, "--check takes"),
    ((*RECTANGLE, "8x5", "--check", "nothing"), 2, "--check takes"),
    (("--rectangle", "0.1,0.9 0.9,0.9 0.7,0.5", "--size", "8x5"), 2, "4 points"),
    (("--rectangle", "0.1,0.9 0.9,0.9 0.7,0.5 nan,0.5", "--size", "8x5"), 2, "4 points"),
    (("--rectangle", "0.1,0.9 0.9,0.9 0.9,0.9 0.3,0.5", "--size", "8x5"), 1, "corners 2 and 3"),
    ((*RECTANGLE, "8x5", "--picture", "ground.jpg"), 2, "ends in .png"),
    (("--camera", "gate", *RECTANGLE, "8x5"), 2, "no camera 'gate'"),
    (("--walkers", "--minutes", "0.1"), 1, "nobody was seen"),
)


@pytest.mark.parametrize(("arguments", "code", "words"), WRONG)
def test_what_is_wrong_is_told(
    calibrate: Calibrate, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = calibrate(*arguments)
    assert (result.exit_code, words in result.stderr) == (code, True), result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("x,y,metres_x,metres_y", slice(None), "no column ground_x, ground_y"),
        ("x,y,ground_x,ground_y\n0.5,0.5,one,2", slice(None), "survey.csv:2: is not four numbers"),
        ("x,y,ground_x,ground_y\n0.5,0.5,inf,2", slice(None), "survey.csv:2: is not four numbers"),
        ("x,y,ground_x,ground_y\n0.5", slice(None), "survey.csv:2: is not four numbers"),
        ("x,y,ground_x,ground_y", slice(0, 3), "four surveyed points or more, got 3"),
        ("x,y,ground_x,ground_y\n960,540,1,2", slice(None), "--pixels"),
    ],
)
def test_a_wrong_table_is_told(
    calibrate: Calibrate, tmp_path: Path, header: str, rows: slice, words: str
) -> None:
    result = calibrate("--points", table(tmp_path / "survey.csv", header=header, rows=rows))
    assert result.exit_code != 0
    assert words in result.stderr


def test_what_is_in_metres_already_is_warned_of(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(
        CONFIG.format(source="sim://plaza")
        + "    lines: [{id: far, units: ground, points: [[4, -6.5], [5, -6.5]]}]\n"
        + "    ground:\n"
        + "".join(f"      - {{image: [{x}, {y}], ground: [{x * 9}, {-y * 9}]}}\n" for x, y in BOX)
    )
    result = CliRunner().invoke(app, ["calibrate", str(config), *RECTANGLE, "8x5"])
    assert result.exit_code == 0, result.output
    assert "warning: camera 'plaza': lines[0].points" in result.stderr
    assert "draw it anew" in result.stderr
    assert "ground_area_error" in result.stdout


def test_a_zone_in_the_sky_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "site.yaml"
    config.write_text(CONFIG.format(source="sim://plaza").replace("[0.8, 0.5]", "[0.8, 0.01]"))
    result = CliRunner().invoke(app, ["calibrate", str(config), *RECTANGLE, "8x5"])
    assert result.exit_code == 1
    assert "horizon below [0.8, 0.01]" in result.stderr


@pytest.mark.slow
def test_people_in_a_clip_calibrate_its_camera(tmp_path: Path) -> None:
    """The shipped detector on a minute of a simulated square: areas within 20 % of the truth, and as told."""
    source = "sim://plaza?scenario=walk&seed=0&size=640x360&fps=4&seconds=60&people=24"
    config = tmp_path / "site.yaml"
    config.write_text(CONFIG.format(source=source))
    loaded = load_config(config)
    found, picture = calibration.by_walkers(loaded.cameras[0], loaded.model, 5.0, None)
    assert picture.pixels == (640, 360)
    at = np.array([spot.image for spot in found.spots])
    matrix = PLAZA.homography
    true = abs(np.linalg.det(matrix) / (at @ matrix[2, :2] + matrix[2, 2]) ** 3)
    off = found.plane.area_scale(at) / true - 1
    assert (np.abs(off) < 0.2).all()
    assert (np.abs(off) < [2.5 * spot.area_error for spot in found.spots]).all()
    assert found.pinhole.height_m == pytest.approx(5.0, rel=0.1)
    assert calibration.with_ground(loaded.cameras[0], found).ground_area_error is not None
    assert "nearest" not in calibration.yaml_of(found)


@dataclass
class Broken:
    """A live camera whose clock starts at an hour, and whose stream breaks off."""

    pictures: int
    info: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(duration_s=None))

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(("shown", "code", "words"), [(12, 1, "nobody was seen"), (0, 1, "camera went away")])
def test_a_stream_that_breaks_off_is_used_as_far_as_it_went(
    calibrate: Calibrate, monkeypatch: pytest.MonkeyPatch, shown: int, code: int, words: str
) -> None:
    def pictures(source: Broken) -> Iterator[SimpleNamespace]:
        grey = ArrayPicture(np.full((90, 160, 3), 114, np.uint8))
        for k in range(source.pictures):
            yield SimpleNamespace(pts_s=3600.0 + k / 5, picture=grey)
        raise ReadError("the camera went away")

    monkeypatch.setattr(calibration, "open_clip", lambda _: Broken(shown))
    monkeypatch.setattr(calibration, "pictures", pictures)
    result = calibrate("--walkers", "--minutes", "1")
    assert (result.exit_code, words in result.stderr) == (code, True), result.output
    assert ("going on with what was seen" in result.stderr) is bool(shown)
