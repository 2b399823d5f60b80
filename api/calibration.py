"""Calibrates a camera's ground for people: reads points or watches walkers, tells the error, prints YAML."""

import csv
import math
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from api import terminal
from api.errors import USAGE, CommandError
from edge.calibrate import from_points, from_rectangle
from edge.calibrate_walkers import from_walks
from edge.calibration import Calibration, Distance, Setting
from edge.config import CameraConfig, ModelConfig
from edge.errors import SiteError
from edge.geometry import Floats
from edge.offline import open_clip, pictures
from edge.plane_error import CLICK, in_words
from edge.sections import GroundPoint
from edge.site import Site
from edge.walkers import WalkerLog
from streams.errors import ReadError
from streams.frame import Picture
from streams.gate import RateGate
from streams.timeline import Timeline

COLUMNS = ("x", "y", "ground_x", "ground_y")
FPS = 5.0
"""Pictures a second that are looked at: a walker's stride gets five."""
_SEED = 1
_NUMBERS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Given:
    """How points of the picture are given.

    Attributes:
        pixels: width and height in pixels if points are in pixels; None if they are fractions.
    """

    pixels: tuple[int, int] | None = None

    @property
    def aspect(self) -> float:
        """The picture's width over its height; 16:9 unless told otherwise."""
        return 16 / 9 if self.pixels is None else self.pixels[0] / self.pixels[1]

    def fractions(self, points: Floats) -> Floats:
        """Points (n, 2) as given -> (n, 2) fractions."""
        return points if self.pixels is None else points / self.pixels

    def setting(
        self, watched: Floats | None, check: Distance | None = None, hfov_deg: float | None = None
    ) -> Setting:
        """For a calibration; a point is picked within a pixel and a half where pixels are known.

        Args:
            watched: (m, 2) fractions of the picture, corners of the zones.
            check: a distance to check by.
            hfov_deg: horizontal field of view in degrees to check by.
        """
        click = CLICK if self.pixels is None else max(CLICK, 1.5 / self.pixels[1])
        return Setting(self.aspect, click, watched, check, hfov_deg)


def parse_points(text: str, what: str, count: int, given: Given) -> Floats:
    """Points from `x,y x,y ...`: (count, 2) fractions.

    Raises:
        CommandError: it is something else.
    """
    words = [word for word in _NUMBERS.split(text.strip()) if word]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 2 * count or not all(map(math.isfinite, numbers)):
        pattern = " ".join(["x,y"] * count)
        raise CommandError(f'{what} takes "{pattern}": {count} points, got {text!r}', USAGE)
    return given.fractions(np.array(numbers).reshape(count, 2))


def parse_sides(text: str) -> tuple[float, float]:
    """Width and length in metres from `12x8`.

    Raises:
        CommandError: it is something else.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*m?\s*[xX×*]\s*(\d+(?:\.\d+)?)\s*m?\s*", text)
    if match is None:
        raise CommandError(f"--size takes metres like 12x8, got {text!r}", USAGE)
    return float(match[1]), float(match[2])


def parse_check(text: str, given: Given) -> Distance:
    """A distance to check by, from `x,y x,y METRES`.

    Raises:
        CommandError: it is something else.
    """
    head, _, tail = text.strip().rpartition(" ")
    try:
        length = float(tail.removesuffix("m"))
    except ValueError:
        raise CommandError(f'--check takes "x,y x,y METRES", got {text!r}', USAGE) from None
    start, end = parse_points(head, "--check", 2, given).tolist()
    return Distance((start[0], start[1]), (end[0], end[1]), length)


def parse_pixels(text: str | None) -> Given:
    """How points are given, from `1920x1080`; None for fractions.

    Raises:
        CommandError: it is something else.
    """
    if text is None:
        return Given()
    match = re.fullmatch(r"(\d{2,5})[xX×](\d{2,5})", text.strip())
    if match is None:
        raise CommandError(f"--pixels takes the picture's size like 1920x1080, got {text!r}", USAGE)
    return Given((int(match[1]), int(match[2])))


def read_points(path: Path, given: Given) -> tuple[Floats, Floats]:
    """Surveyed points from CSV with the columns x, y, ground_x, ground_y: (n, 2) fractions, (n, 2) metres.

    Raises:
        CommandError: a column or a number is missing; it names the line.
        OSError: the file cannot be read.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise CommandError(
                f"{path}: no column {', '.join(missing)}: the first line must be {','.join(COLUMNS)}", USAGE
            )
        rows = []
        for row in table:
            try:
                rows.append([float(row[name] or "") for name in COLUMNS])
            except ValueError:
                raise CommandError(f"{path}:{table.line_num}: is not four numbers", USAGE) from None
            if not all(map(math.isfinite, rows[-1])):
                raise CommandError(f"{path}:{table.line_num}: is not four numbers", USAGE)
    numbers = np.array(rows).reshape(-1, 4)
    return given.fractions(numbers[:, :2]), numbers[:, 2:]


def by_points(path: Path, given: Given, setting: Setting) -> Calibration:
    """Calibrate by surveyed points in a CSV file.

    Raises:
        CommandError: the file is no such table.
        SiteError: the points cannot be used.
    """
    image, ground = read_points(path, given)
    return from_points(image, ground, setting)


def by_rectangle(corners: Floats, sides_m: tuple[float, float], setting: Setting) -> Calibration:
    """Calibrate by a rectangle's corners, (4, 2) fractions, and its sides in metres.

    Raises:
        SiteError: they cannot be used.
    """
    return from_rectangle(corners, *sides_m, setting)


def by_walkers(
    camera: CameraConfig, model: ModelConfig, minutes: float, hfov_deg: float | None
) -> tuple[Calibration, Given]:
    """Calibrate by people who walk by in the camera's source, with a progress bar.

    Args:
        camera: its source is watched, as fast as it goes if it is a recording.
        model: finds people.
        minutes: of the camera's time, 60 seconds each, at most.
        hfov_deg: horizontal field of view in degrees, where it is known.

    Raises:
        SiteError: the walkers do not tell the ground.
        StreamError: the source cannot be read.
        ModelError: the model cannot be loaded.
    """
    log, picture = _watch(camera, model, minutes)
    try:
        return from_walks(log.walks(), np.random.default_rng(_SEED), hfov_deg, watched_of(camera)), picture
    except SiteError as exc:
        raise SiteError(exc.key, exc.text, camera.id) from None


def _watch(camera: CameraConfig, model: ModelConfig, minutes: float) -> tuple[WalkerLog, Given]:
    from models.tracker import Tracker
    from models.zoo import load_detector

    detector = load_detector(model.detector, model.providers, model.threads)
    if "person" not in detector.class_names:
        raise CommandError(f"the model {detector.name} knows no persons: walkers need one that does", USAGE)
    tracker = Tracker(model.threshold, np.random.default_rng(_SEED))
    log: WalkerLog | None = None
    size = (0, 0)
    for picture, seen_s in _looks(camera, minutes * 60):
        if log is None:
            size = (picture.width, picture.height)
            log = WalkerLog(size[0] / size[1], detector.class_names.index("person"))
        log.add(tracker.update(detector.detect(picture), seen_s), seen_s)
    if log is None:
        raise CommandError(f"camera {camera.id}: its source shows no picture")
    return log, Given(size)


def _looks(camera: CameraConfig, for_s: float) -> Iterator[tuple[Picture, float]]:
    """Pictures of a camera at `FPS` with the seconds since the first; a stream that breaks off ends them."""
    gate, timeline = RateGate(FPS), Timeline()
    first_s: float | None = None
    with closing(open_clip(camera)) as source, terminal.progress() as bar:
        task = bar.add_task("watching for people", total=min(for_s, source.info.duration_s or math.inf))
        try:
            for decoded in pictures(source):
                pts_s = timeline.stamp(decoded.pts_s)
                first_s = pts_s if first_s is None else first_s  # a live camera's clock starts anywhere
                if pts_s - first_s > for_s:
                    return
                if gate.admit(pts_s):
                    yield decoded.picture, pts_s - first_s
                    bar.update(task, completed=pts_s - first_s)
        except ReadError as exc:
            if first_s is None:
                raise
            terminal.warn(f"camera {camera.id}: {exc}; going on with what was seen until then")


def watched_of(camera: CameraConfig) -> Floats | None:
    """Corners of the zones that are drawn in the picture, (m, 2) fractions; None without any.

    Those in metres belong to the frame of an earlier survey and say nothing of a new one.
    """
    corners = [corner for zone in camera.zones if zone.units == "image" for corner in zone.polygon]
    return np.array(corners) if corners else None


def zones_of(camera: CameraConfig) -> tuple[Floats, ...]:
    """Polygons of the zones that are drawn in the picture, (m, 2) fractions each."""
    return tuple(np.array(zone.polygon) for zone in camera.zones if zone.units == "image")


def with_ground(camera: CameraConfig, found: Calibration) -> CameraConfig:
    """The camera as it would be with this ground, checked with its zones, lines and rules.

    Raises:
        SiteError: a zone or line does not fit the ground.
    """
    points = zip(found.image.tolist(), found.plane.surveyed.tolist(), strict=True)
    ground = tuple(GroundPoint(image=tuple(p), ground=tuple(q)) for p, q in points)
    place_m, area = errors_of(found)
    changes = {"ground": ground, "ground_error_m": place_m, "ground_area_error": area}
    changed = camera.model_copy(update=changes)
    Site.from_config(changed)
    return changed


def misfits(camera: CameraConfig, found: Calibration) -> list[str]:
    """What of a camera's zones and lines in metres does not fit the new ground: warnings.

    Raises:
        SiteError: a zone or line that is drawn in the picture does not fit.
    """
    try:
        with_ground(camera, found)
    except SiteError as exc:
        drawn = {
            "zones": tuple(zone for zone in camera.zones if zone.units == "image"),
            "lines": tuple(line for line in camera.lines if line.units == "image"),
        }
        with_ground(camera.model_copy(update={**drawn, "rules": ()}), found)
        return [f"{exc}: its metres are of another survey's frame; draw it anew"]
    return []


def errors_of(found: Calibration) -> tuple[float, float]:
    """What the configuration keeps: standard error of a place in metres, and of areas as a share."""
    return max(0.01, round(found.place_stderr_m, 2)), max(0.001, math.ceil(found.area_error * 1000) / 1000)


def yaml_of(found: Calibration) -> str:
    """Lines for the camera's section of the configuration."""
    place_m, area = errors_of(found)
    lines = ["    ground:"]
    for (x, y), (gx, gy) in zip(found.image.tolist(), found.plane.surveyed.tolist(), strict=True):
        lines.append(f"      - {{image: [{x:.4f}, {y:.4f}], ground: [{gx:.3f}, {gy:.3f}]}}")
    lines += [f"    ground_error_m: {place_m:g}", f"    ground_area_error: {area:g}"]
    return "\n".join(lines)


def words(found: Calibration) -> list[str]:
    """The result in plain words: the camera, the error, and what it means for density."""
    lines = []
    if found.pinhole is not None:
        camera = found.pinhole
        lines.append(
            f"camera {camera.height_m:.2f} ±{camera.height_stderr_m:.2f} m high, looks down "
            f"{camera.tilt_deg:.1f} ±{camera.tilt_stderr_deg:.1f}°, sees {camera.hfov_deg:.0f} "
            f"±{camera.hfov_stderr_deg:.1f}° across"
        )
    all_ = " (all are off together)" if found.together else ""
    for spot in found.spots:
        where = spot.name if math.isnan(spot.distance_m) else f"{spot.name}, {spot.distance_m:.0f} m away"
        tall = f"; people look {spot.person_height:.0%} of the picture tall"
        if math.isnan(spot.person_height):
            tall = ""
        lines.append(
            f"{where}: a place is known to ±{spot.place_stderr_m:.2f} m{all_}, a cell of 4 m² and so its "
            f"density to {in_words(spot.area_error)}{tall}"
        )
    return lines + list(found.notes)


def tell(found: Calibration) -> None:
    """Words on stderr, YAML on stdout."""
    for line in words(found):
        terminal.err.print(line, markup=False)
    terminal.err.print("put this into the camera's section of the configuration:")
    terminal.out.print(yaml_of(found), markup=False)
