"""The demo's configuration: simulated cameras, surveyed by the simulator itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.config import Config
from streams.sim.places import PLACES, Place

SCENES = (
    ("plaza", "intrusion", 3, "hazard.intrusion", "North square"),
    ("gate", "line", 5, "hazard.line", "South gate"),
    ("platform", "crowding", 7, "crowd.density", "Bus platform"),
    ("plaza", "walk", 11, "crowd.density", "East square"),
)
"""Place, scenario, seed, what is watched, and the place's name."""

SIZE, FPS = "640x360", 12
"""Small enough for four cameras, their simulation and their analysis on two cores."""

MAX_CAMERAS = 16


def demo_config(cameras: int, port: int, data_dir: Path) -> Config:
    """A node with so many simulated cameras, 1 to `MAX_CAMERAS`, that keeps its data in `data_dir`.

    Beyond four cameras the scenes come again with other people.
    """
    if not 1 <= cameras <= MAX_CAMERAS:
        raise ValueError(f"cameras must be 1 to {MAX_CAMERAS}, got {cameras}")
    return Config.model_validate(
        {
            "node": {"id": "demo", "data_dir": str(data_dir), "heartbeat_s": 30},
            "http": {"port": port},
            "cameras": [_camera(index) for index in range(cameras)],
        }
    )


def _camera(index: int) -> dict[str, object]:
    name, scenario, seed, kind, title = SCENES[index % len(SCENES)]
    repeat = index // len(SCENES)
    place = PLACES[name]
    return {
        "id": f"{name}-{scenario}" + (f"-{repeat + 1}" if repeat else ""),
        "source": f"sim://{name}?scenario={scenario}&seed={seed + 100 * repeat}&size={SIZE}&fps={FPS}",
        "place": {"name": title + (f" {repeat + 1}" if repeat else "")},
        "ground": surveyed(place),
        "zones": [{"id": zone.id, "units": "ground", "polygon": list(zone.polygon)} for zone in place.zones],
        "lines": [{"id": place.line.id, "units": "ground", "points": list(place.line.points)}],
        "rules": list(_rules(place, kind)),
    }


def _rules(place: Place, kind: str) -> Sequence[dict[str, object]]:
    where: dict[str, dict[str, object]] = {
        "hazard.intrusion": {"zone": place.restricted.id},
        "hazard.line": {"line": place.line.id},
    }
    if kind in where:
        return [{"kind": kind, **where[kind]}]
    crowd = place.crowd.id
    return [{"kind": kind, "zone": crowd}, {"kind": "crowd.forecast", "zone": crowd}, {"kind": "crowd.surge"}]


def surveyed(place: Place) -> list[dict[str, list[float]]]:
    """Points as a surveyor would give them: where they are in the picture and on the ground, in metres."""
    corners = np.concatenate([zone.corners for zone in place.zones])
    image = place.camera.project(corners)
    seen = ((image > 0.01) & (image < 0.99)).all(axis=1)
    return [
        {"image": [round(float(x), 5) for x in point], "ground": [float(x) for x in corner]}
        for point, corner in zip(image[seen], corners[seen], strict=True)
    ]
