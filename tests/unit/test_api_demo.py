"""The demo's configuration holds together."""

from pathlib import Path

import numpy as np
import pytest

from api.demo import MAX_CAMERAS, SCENES, demo_config, surveyed
from edge.analysis import Analysis
from edge.opening import address
from edge.site import Site
from models.zoo import find_model
from streams.sim.places import PLACES
from streams.sim.spec import parse_address


@pytest.mark.parametrize("count", [1, 4, MAX_CAMERAS])
def test_every_camera_can_be_watched(tmp_path: Path, count: int) -> None:
    config = demo_config(count, 0, tmp_path)
    assert len(config.cameras) == count
    classes = find_model(config.model.detector).manifest.classes
    for camera in config.cameras:
        site = Site.from_config(camera)
        assert site.ground is not None
        assert site.ground.rmse_m < 0.01
        Analysis(camera, site, classes)
        parse_address(address(camera).full)
        assert camera.rules


def test_no_two_cameras_show_the_same(tmp_path: Path) -> None:
    config = demo_config(MAX_CAMERAS, 0, tmp_path)
    assert len({address(camera).full for camera in config.cameras}) == MAX_CAMERAS


@pytest.mark.parametrize("count", [0, MAX_CAMERAS + 1])
def test_too_many_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="cameras must be 1 to 16"):
        demo_config(count, 0, tmp_path)


@pytest.mark.parametrize("name", sorted({scene[0] for scene in SCENES}))
def test_the_survey_is_the_cameras_own(name: str) -> None:
    camera = PLACES[name].camera
    points = surveyed(PLACES[name])
    assert len(points) >= 5
    seen = camera.to_ground(np.array([point["image"] for point in points]))
    assert np.allclose(seen, [point["ground"] for point in points], atol=0.02)
