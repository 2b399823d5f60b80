"""Every rule has a floor, and every camera a task."""

from typing import get_args

import pytest

from edge.config import CameraConfig
from edge.floors import FLOOR_FPS, VIEW, Task, tasks_of
from edge.rules import AnyRule


def test_every_kind_of_rule_has_a_floor() -> None:
    kinds = {get_args(rule.model_fields["kind"].annotation)[0] for rule in get_args(AnyRule)}
    assert set(FLOOR_FPS) == kinds | {VIEW}


def test_a_camera_has_a_task_for_each_rule() -> None:
    camera = CameraConfig.model_validate(
        {
            "id": "gate-2",
            "source": "sim://plaza",
            "zones": [{"id": "plaza", "polygon": [(0, 0), (1, 0), (1, 1)]}],
            "lines": [{"id": "door", "points": [(0, 0), (1, 1)]}],
            "rules": [
                {"kind": "hazard.line", "line": "door"},
                {"kind": "crowd.density", "zone": "plaza"},
                {"kind": "hazard.intrusion", "zone": "plaza"},
            ],
        }
    )
    assert tasks_of(camera) == (
        Task("hazard.line", "door", 2.0),
        Task("crowd.density", "plaza", 0.5),
        Task("hazard.intrusion", "plaza", 1.0),
    )
    assert tasks_of(camera)[0].name == "hazard.line/door"


def test_a_camera_without_rules_is_still_to_be_looked_at() -> None:
    camera = CameraConfig.model_validate({"id": "gate-2", "source": "sim://plaza"})
    assert tasks_of(camera) == (Task("camera.view", "gate-2", 0.05),)


@pytest.mark.parametrize("floor", [0.0, -1.0, 61.0, float("nan")])
def test_a_floor_is_a_rate(floor: float) -> None:
    with pytest.raises(ValueError, match="floor_fps"):
        Task("crowd.density", "plaza", floor)
