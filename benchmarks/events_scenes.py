"""The scenes that rules of hazards and of camera health are measured on, and the cameras that watch them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.events_seen import url_of
from edge.config import CameraConfig
from edge.rules import RULES
from streams.sim.clip import crowd_truth, scene_truth
from streams.sim.grounds import GROUNDS
from streams.sim.marshal import ABANDONED_S, OBSTRUCTION_S
from streams.sim.places import Place, Zone
from streams.sim.scenario import SCENARIOS
from streams.sim.spec import SceneSpec
from streams.sim.truth import TruthEvent

FAULTS = ("freeze", "dark", "blurred", "covered", "moved")
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "freeze": ("still", "clock"),
    "dark": ("blackout", "gradual"),
    "covered": ("hand", "cloth", "spray"),
    "moved": ("turn", "tilt"),
}


@dataclass(frozen=True, slots=True)
class Theme:
    """What a scenario of this benchmark is made of.

    Attributes:
        name: on the command line.
        scenario: of the simulator.
        seconds: of a scene; whole things need their time.
        fault: kind of fault that the camera has; empty for none.
        kinds: of events that it is about; empty where nothing may be told.
    """

    name: str
    scenario: str
    seconds: float
    kinds: tuple[str, ...]
    fault: str = ""


THEMES: Mapping[str, Theme] = {
    theme.name: theme
    for theme in (
        Theme("intrusion", "intrusion", 60.0, ("hazard.intrusion",)),
        Theme("line", "line", 60.0, ("hazard.line",)),
        Theme("wrongway", "wrongway", 75.0, ("hazard.wrongway",)),
        Theme("abandoned", "abandoned", 120.0, ("hazard.abandoned",)),
        Theme("removed", "removed", 120.0, ("hazard.removed",)),
        Theme("obstruction", "obstruction", 120.0, ("hazard.obstruction",)),
        Theme("forbidden", "forbidden", 75.0, ("hazard.forbidden_object",)),
        Theme("fall", "fall", 75.0, ("hazard.fall",)),
        Theme("surge", "surge", 90.0, ("crowd.surge",)),
        Theme("frozen", "walk", 75.0, ("camera.frozen",), "freeze"),
        Theme("dark", "walk", 75.0, ("camera.dark",), "dark"),
        Theme("blurred", "walk", 75.0, ("camera.blurred",), "blurred"),
        Theme("covered", "walk", 75.0, ("camera.covered",), "covered"),
        Theme("moved", "walk", 75.0, ("camera.moved",), "moved"),
        Theme("distractors", "distractors", 240.0, ()),
    )
}
SIDE_PLACES = ("plaza", "gate", "platform")
"""Where a scenario plays that can play anywhere; every further seed takes the next."""
FRAGILE_S: Mapping[str, float] = {
    "hazard.intrusion": 2.0,
    "hazard.forbidden_object": 3.0,
    "hazard.wrongway": 2.5,
    "hazard.fall": 8.0,
    "hazard.removed": ABANDONED_S + 12.0,
    "hazard.abandoned": ABANDONED_S + 8.0,
    "hazard.obstruction": OBSTRUCTION_S + 8.0,
    "camera.": 20.0,
}
"""By kind: seconds that a true event must last to count as one that must be told of; shorter ones may be."""
_KNOWN = frozenset(rule.name() for rule in RULES)
_SETTLED_S = 30.0
"""A camera that has just begun has no view of its own yet that a fault could change."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene to be watched.

    Attributes:
        theme: of it.
        spec: for the simulator.
        fps: pictures analysed a second.
    """

    theme: Theme
    spec: SceneSpec
    fps: float

    @property
    def camera(self) -> CameraConfig:
        """The camera that watches it, with its rules."""
        return camera_of(self)

    @property
    def truth(self) -> tuple[TruthEvent, ...]:
        """What happens in it, of the kinds that this benchmark knows."""
        events = [event for event in scene_truth(self.spec) if not event.kind.startswith("crowd.")]
        if self.theme.scenario == "surge":
            events += [event for event in crowd_truth(self.spec).moments if event.kind == "crowd.surge"]
        return tuple(events)


def scene_of(theme: Theme, seed: int, size: tuple[int, int], fps: float, *, angles: bool) -> Scene:
    """The scene of a seed: places, cameras' angles, and kinds of faults change with it.

    Args:
        theme: of it.
        seed: for all that is random.
        size: pixels.
        fps: pictures a second, of the camera and analysed.
        angles: whether cameras hang a little differently in every scene.
    """
    rng = np.random.default_rng((seed, sum(map(ord, theme.name))))
    places = SCENARIOS[theme.scenario].places or SIDE_PLACES
    if theme.scenario == "surge":
        places = places[:1] if SCENARIOS["surge"].places else ("plaza",)
    fault = ""
    if theme.fault:
        begin_s = float(rng.uniform(_SETTLED_S, 40.0))
        variants = VARIANTS.get(theme.fault, ())
        variant = f":{variants[seed % len(variants)]}" if variants else ""
        fault = f"{theme.fault}{variant}@{begin_s:.1f}-{begin_s + rng.uniform(22.0, 28.0):.1f}"
    spec = SceneSpec(
        theme.scenario,
        places[seed % len(places)],
        seed,
        size,
        max(fps, 1.0),
        theme.seconds,
        view=seed + 1 if angles else 0,
        fault=fault,
    )
    return Scene(theme, spec, fps)


def camera_of(scene: Scene) -> CameraConfig:
    """A surveyed camera with the rules that its place's zones ask for."""
    spec, place = scene.spec, scene.spec.where
    zones = {zone.id: zone for zone in place.zones}
    if scene.theme.scenario == "distractors":
        # All that may be marked at this place is, but for a one-way zone, in which people would be wrong.
        zones |= {zone.id: zone for use, zone in _marks(spec.place).items() if use != "one_way"}
    rules: list[dict[str, Any]] = [
        {"kind": "hazard.intrusion", "zone": place.restricted.id},
        {"kind": "hazard.line", "line": place.line.id},
        {"kind": "hazard.fall", "zone": place.crowd.id},
        *(rule for zone in zones.values() for rule in _rules(zone, place)),
    ]
    if scene.theme.scenario == "surge":
        rules = [{"kind": "crowd.surge", "zone": place.crowd.id}]
    return CameraConfig.model_validate(
        {
            "id": place.name,
            "source": url_of(spec),
            "analysed_fps": scene.fps,
            "ground": _survey(place),
            "zones": [{"id": zone.id, "units": "ground", "polygon": zone.polygon} for zone in zones.values()],
            "lines": [{"id": place.line.id, "units": "ground", "points": place.line.points}],
            "rules": [rule for rule in rules if rule["kind"] in _KNOWN],
        }
    )


def _marks(place: str) -> Mapping[str, Zone]:
    return {str(use): zone for use, zone in GROUNDS.get(place, {}).items()}


def _rules(zone: Zone, place: Place) -> list[dict[str, Any]]:
    if zone.use == "one_way" and zone.towards is not None:
        middle = zone.corners.mean(axis=0)
        arrow = place.camera.project(np.array([middle, middle + np.array(zone.towards)]))
        return [{"kind": "hazard.wrongway", "zone": zone.id, "way": arrow.tolist()}]
    if zone.use == "fire_lane":
        return [{"kind": "hazard.obstruction", "zone": zone.id, "min_age_s": OBSTRUCTION_S}]
    if zone.use == "people_only":
        return [{"kind": "hazard.forbidden_object", "zone": zone.id}]
    if zone.use == "watched":
        kinds = ("hazard.abandoned", "hazard.removed")
        return [{"kind": kind, "zone": zone.id, "min_age_s": ABANDONED_S} for kind in kinds]
    return []


def _survey(place: Place) -> list[dict[str, list[float]]]:
    """Points on the ground with their places in the picture, from corner to corner of what is in view."""
    camera, corners = place.camera, np.concatenate([zone.corners for zone in place.zones])
    axes = (
        np.linspace(low, high, 4)
        for low, high in zip(corners.min(axis=0) - 1.0, corners.max(axis=0) + 1.0, strict=True)
    )
    spots = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    seen = camera.project(spots)
    within = ((seen > 0.01) & (seen < 0.99)).all(axis=1)
    return [
        {"image": image.tolist(), "ground": spot.tolist()}
        for image, spot in zip(seen[within], spots[within], strict=True)
    ]


def must_be_told(event: TruthEvent, seconds: float) -> bool:
    """Whether a true event lasted long enough, and in the clip, that it must be told of."""
    if event.kind in ("hazard.line", "crowd.surge"):
        return event.begin_s <= seconds - 1.5
    least_s = next((least for kind, least in FRAGILE_S.items() if event.kind.startswith(kind)), 0.0)
    return event.end_s - event.begin_s >= least_s


def themes_of(names: list[str] | None) -> list[Theme]:
    """Themes by name, all by default."""
    return [THEMES[name] for name in names or THEMES]
