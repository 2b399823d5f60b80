import numpy as np
import pytest

from edge.config import CameraConfig
from edge.errors import SiteError
from edge.site import Site


def survey(n: int = 8) -> list[dict]:
    """Exact points of a pinhole camera 6 m up, 30 degrees down, focal length one picture height, 16:9."""
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    spots = [(-4, 7), (4, 7), (-4, 14), (4, 14), (0, 10), (-2, 8), (2, 12), (1, 9)][:n]
    points = []
    for x, y in spots:
        depth = c * y + s * 6
        down = (6 * c - s * y) / depth
        points.append({"image": [0.5 + 9 / 16 * x / depth, 0.5 + down], "ground": [x, y]})
    return points


def camera(**more: object) -> CameraConfig:
    return CameraConfig.model_validate({"id": "gate", "source": "x.mp4", **more})


def zone(polygon: list, **more: object) -> dict:
    return {"id": "z", "polygon": polygon, **more}


def line(points: list, **more: object) -> dict:
    return {"id": "l", "points": points, **more}


def fault(**more: object) -> tuple[str, str]:
    with pytest.raises(SiteError) as caught:
        Site.from_config(camera(**more))
    assert caught.value.camera == "gate"
    assert str(caught.value).startswith("camera 'gate': ")
    return caught.value.key, caught.value.text


SQUARE_M = [[-2, 8], [2, 8], [2, 12], [-2, 12]]
SQUARE = [[0.2, 0.5], [0.8, 0.5], [0.8, 0.9], [0.2, 0.9]]


def test_a_camera_without_anything():
    site = Site.from_config(camera())
    assert (site.zones, site.lines, site.ground, site.notes) == ((), (), None, ())


def test_an_uncalibrated_zone_has_no_floor():
    site = Site.from_config(camera(zones=[zone(SQUARE, capacity=40)]))
    assert site.zone("z").floor is None
    assert site.zone("z").holds(np.array([[0.5, 0.7], [0.1, 0.7]]), None).tolist() == [True, False]
    assert "share of capacity" in site.notes[0]


def test_a_zone_in_metres_knows_its_area():
    site = Site.from_config(camera(ground=survey(), zones=[zone(SQUARE_M, units="ground")]))
    z = site.zone("z")
    assert z.floor.area_m2 == pytest.approx(16)
    assert z.floor.area_stderr_m2 == 0
    assert z.visible_share == pytest.approx(1)
    assert z.holds(np.zeros((2, 2)), np.array([[0, 10], [3, 10]])).tolist() == [True, False]
    with pytest.raises(ValueError, match="ground points"):
        z.holds(np.zeros((2, 2)), None)


def test_a_zone_in_the_picture_gets_its_area_from_the_ground():
    plane = Site.from_config(camera(ground=survey())).ground
    polygon = plane.to_image(SQUARE_M).tolist()
    site = Site.from_config(camera(ground=survey(), zones=[zone(polygon)]))
    assert site.zone("z").floor.area_m2 == pytest.approx(16, rel=1e-6)


def test_of_a_zone_that_leaves_the_picture_only_the_visible_part_counts():
    wide = [[0, 8], [400, 8], [400, 8.5], [0, 8.5]]
    site = Site.from_config(camera(ground=survey(), zones=[zone(wide, units="ground", walkable_m2=100)]))
    z = site.zone("z")
    assert z.visible_share < 0.1
    assert z.floor.area_m2 == pytest.approx(100 * z.visible_share)
    assert any("the picture shows" in note for note in site.notes)


def test_walkable_area_overrides_the_polygon_s():
    site = Site.from_config(camera(ground=survey(), zones=[zone(SQUARE_M, units="ground", walkable_m2=10)]))
    assert site.zone("z").floor.area_m2 == pytest.approx(10)


def test_lines_in_metres_are_seen_in_the_picture():
    site = Site.from_config(camera(ground=survey(), lines=[line([[-4, 7], [4, 7]], units="ground")]))
    seen = survey()
    assert site.line("l").start == pytest.approx(seen[0]["image"])
    assert site.line("l").end == pytest.approx(seen[1]["image"])


def test_unknown_ids():
    site = Site.from_config(camera())
    with pytest.raises(KeyError):
        site.zone("z")
    with pytest.raises(KeyError):
        site.line("l")


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ({"zones": [zone([[0, 0], [1, 1], [1, 0], [0, 1]])]}, "zones[0].polygon", "crosses itself"),
        ({"zones": [zone([[0, 0], [0.5, 0.5], [1, 1]])]}, "zones[0].polygon", "no area"),
        ({"zones": [zone([[0, 0], [1.2, 0.5], [1, 1]])]}, "zones[0].polygon[1]", "outside the picture"),
        ({"lines": [line([[0.5, 0.5], [0.5, 0.5]])]}, "lines[0].points", "same point"),
        ({"lines": [line([[0.5, 0.5], [0.5, 1.5]])]}, "lines[0].points[1]", "outside the picture"),
    ],
)
def test_places_that_cannot_be(more, key, words):
    found, text = fault(**more)
    assert found == key
    assert words in text


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        (
            {"zones": [zone([[0, -9], [1, -9], [1, -8]], units="ground")]},
            "zones[0].polygon",
            "outside the picture",
        ),
        (
            {"zones": [zone([[50, 8], [51, 8], [51, 9]], units="ground")]},
            "zones[0].polygon",
            "outside the picture",
        ),
        ({"zones": [zone(SQUARE_M, units="ground", walkable_m2=20)]}, "zones[0].walkable_m2", "16.0 m2"),
        ({"lines": [line([[0, 8], [0, -30]], units="ground")]}, "lines[0].points", "behind the camera"),
        ({"lines": [line([[50, 8], [50, 9]], units="ground")]}, "lines[0].points", "outside the picture"),
        ({"lines": [line([[9, 8], [40, 8]], units="ground")]}, "lines[0].points", "outside the picture"),
    ],
)
def test_places_that_cannot_be_on_this_ground(more, key, words):
    found, text = fault(ground=survey(), **more)
    assert found == key
    assert words in text


def test_a_zone_above_the_horizon():
    level = [{"image": [p["image"][0], p["image"][1] / 2 + 0.5], "ground": p["ground"]} for p in survey()]
    key, text = fault(ground=level, zones=[zone([[0.2, 0.1], [0.8, 0.6], [0.2, 0.9]])])
    assert key == "zones[0].polygon[0]"
    assert "horizon" in text


def test_surveyed_points_far_outside_the_picture():
    points = survey()
    points[3]["image"] = [640, 360]  # pixels
    assert fault(ground=points)[0] == "ground[3].image"


def test_a_survey_that_fits_no_plane_is_told_with_the_point():
    points = survey()
    points[4]["ground"] = [2, 11]
    assert fault(ground=points)[0] == "ground[4]"


def test_density_needs_ground_or_capacity():
    rules = [{"kind": "hazard.intrusion", "zone": "z"}, {"kind": "crowd.density", "zone": "z"}]
    key, text = fault(zones=[zone(SQUARE)], rules=rules)
    assert key == "rules[1].zone"
    assert "surveyed ground points" in text
    assert "capacity" in text
    Site.from_config(camera(zones=[zone(SQUARE, capacity=30)], rules=rules))
    Site.from_config(camera(zones=[zone(SQUARE)], ground=survey(), rules=rules))


def test_notes_say_what_is_uncertain():
    mirrored = [{"image": p["image"], "ground": [p["ground"][0], -p["ground"][1]]} for p in survey(4)]
    site = Site.from_config(
        camera(ground=mirrored, zones=[zone([[-9, -20], [9, -20], [0, -40]], units="ground")])
    )
    told = " ".join(site.notes)
    for words in ("four surveyed points", "towards the camera", "far beyond the surveyed points"):
        assert words in told
