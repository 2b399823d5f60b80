"""Clips for reports without a clip: steps of an analysis, as it would give them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np
from pydantic import SecretStr

from api.demo import surveyed
from api.report.gather import Gathering
from api.report.page import About
from edge.analysis import ZoneCount
from edge.config import CameraConfig
from edge.envelope import Event
from edge.events import EventContext, incident_event
from edge.field import zone_density
from edge.geometry import points_in_polygon
from edge.identifiers import Uuid7
from edge.incidents import Change, Phase
from edge.offline import EPOCH, Step
from edge.people import People
from edge.site import Site, Zone
from streams.sim.places import PLACES

PLAZA = PLACES["plaza"]


def camera(*, calibrated: bool = True, zones: int = 0, **more: object) -> CameraConfig:
    """The plaza's camera with its own zones, or with as many small ones."""
    named = [{"id": zone.id, "units": "ground", "polygon": list(zone.polygon)} for zone in PLAZA.zones]
    if zones:
        named = [
            {"id": f"zone-{k}", "polygon": [(x, y), (x + 0.1, y), (x + 0.1, y + 0.05), (x, y + 0.05)]}
            for k in range(zones)
            for x, y in [(0.05 + 0.11 * (k % 8), 0.45 + 0.065 * (k // 8))]
        ]
    elif not calibrated:
        named = [{"id": "all", "polygon": [(0, 0), (1, 0), (1, 1), (0, 1)], "capacity": 20}]
    lines = (
        [{"id": PLAZA.line.id, "units": "ground", "points": list(PLAZA.line.points)}] if calibrated else []
    )
    given = {"id": "square", "source": SecretStr("clip"), "zones": named, "lines": lines}
    ground = surveyed(PLAZA) if calibrated else []
    return CameraConfig.model_validate({**given, "ground": ground, **more})


def about(config: CameraConfig) -> About:
    return About("clip.mp4", config, "detector-x")


def crowd(n: int, seed: int = 0) -> People:
    """So many people around the middle of the plaza's crowd, 0.8 certain each."""
    at = np.random.default_rng(seed).normal(PLAZA.crowd_centre, 1.2, (n, 2))
    return People.of(at, variance=0.16)


def look(site: Site, pts_s: float, people: People, events: tuple[Event, ...] = ()) -> Step:
    """What the analysis says when these people are on the ground."""
    zones = {zone.id: _counted(zone, people) for zone in site.zones}
    return Step(pts_s, None, zones, events, people if site.ground else None)


def end(pts_s: float, events: tuple[Event, ...] = ()) -> Step:
    return Step(pts_s, 1.0, {}, events, looked=False)


def _counted(zone: Zone, people: People) -> ZoneCount:
    if zone.floor is None:
        return ZoneCount(len(people), count_stderr=people.count_stderr)
    at = people.at[points_in_polygon(people.at, zone.floor.polygon)]
    standing = People.of(at, variance=0.8 * 0.2)
    found = zone_density(standing, zone.floor)
    return ZoneCount(
        len(at), found.mean_per_m2, found.worst.density_per_m2, standing.count_stderr, found.stderr_per_m2
    )


class Teller:
    """Makes events of incidents."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        randbits = lambda bits: int.from_bytes(rng.bytes((bits + 7) // 8)) % 2**bits  # noqa: E731
        self._new_id = Uuid7(lambda: EPOCH, randbits)
        self._context = EventContext("n", "360103", self._new_id, "square", randbits=randbits)
        self._number = 0

    def incident(self) -> str:
        return self._new_id()

    def __call__(
        self, incident: str, phase: Phase, level: int, place: str, pts_s: float, **more: object
    ) -> Event:
        measures: Mapping[str, float] = more.get("measures", {})  # type: ignore[assignment]
        utc = EPOCH + timedelta(seconds=pts_s)
        started = EPOCH + timedelta(seconds=float(more.get("started_s", pts_s)))  # type: ignore[arg-type]
        kind = str(more.get("kind", "crowd.density"))
        change = Change(incident, phase, kind, place, level, started, utc, measures, 0.9, ())
        self._number += 1
        return Event.number(incident_event(self._context, change), self._number)


def rising(site: Site, zone: str) -> Iterator[Step]:
    """A minute in which a crowd grows and goes, with one incident that rises, falls and ends."""
    tell, incident = Teller(), None
    for k in range(121):
        pts_s, events = k / 2, []
        n = round(60 * np.sin(np.pi * pts_s / 60) ** 2)
        if k == 40:
            incident = tell.incident()
            events.append(tell(incident, "begin", 4, zone, pts_s, started_s=pts_s - 5))
        elif k in (48, 60, 72) and incident:
            events.append(tell(incident, "update", {48: 3, 60: 1, 72: 2}[k], zone, pts_s))
        elif k == 88 and incident:
            events.append(tell(incident, "end", 2, zone, pts_s))
        if k in (16, 17, 92):
            crossing = tell.incident()
            events += [
                tell(crossing, phase, 3, PLAZA.line.id, pts_s, kind="hazard.line")
                for phase in ("begin", "end")
            ]
        yield look(site, pts_s, crowd(n, seed=k // 4), tuple(events))


def gathered(config: CameraConfig, steps: int | None = None) -> Gathering:
    """A gathering of `rising`, or of its first steps."""
    site = Site.from_config(config)
    gathering = Gathering(site, config.analysed_fps)
    ids = [zone.id for zone in site.zones]
    watched = PLAZA.crowd.id if PLAZA.crowd.id in ids else ids[0]
    for k, step in enumerate(rising(site, watched)):
        if steps is not None and k >= steps:
            break
        gathering.add(step)
    gathering.add(end(gathering.bins.end_s))
    return gathering


def renamed(site: Site, name: str) -> Site:
    """The site with its first zone called something that no configuration allows."""
    return replace(site, zones=(replace(site.zones[0], id=name), *site.zones[1:]))
