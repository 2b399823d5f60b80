"""What the node knows of itself: cameras that went silent, rates, the heartbeat."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edge.config import CameraConfig
from edge.events import EventContext, EventDraft, heartbeat_event, incident_event
from edge.incidents import Incidents
from edge.observation import Observation
from edge.policy import Policy

OFFLINE_LEVEL = 3
"""Severity of a lost camera: it endangers nobody by itself, but nobody looks there any more."""

RECOVERED_S = 1.0
"""A picture must have been back for this long before the incident ends."""


def offline(camera_id: str, silent_s: float, limit_s: float) -> Observation:
    """What the silence of a camera means.

    Args:
        camera_id: the camera's id.
        silent_s: seconds since its last picture, or since the node began to wait for the first.
        limit_s: seconds of silence that make it an incident.
    """
    level = OFFLINE_LEVEL if silent_s >= limit_s else None
    return Observation("camera.offline", camera_id, level, {"silent_s": round(silent_s, 1)})


class RateMeter:
    """How fast a counter rises, over a sliding window of its readings."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._readings: deque[tuple[float, int]] = deque()

    def read(self, now_s: float, count: int) -> None:
        """Take the counter's value at a moment; moments must not go back."""
        self._readings.append((now_s, count))
        while len(self._readings) > 2 and now_s - self._readings[1][0] >= self._window_s:
            self._readings.popleft()

    @property
    def per_s(self) -> float:
        """Increase per second over the window; 0 before the second reading."""
        if len(self._readings) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._readings[0], self._readings[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0


@dataclass(slots=True)
class CameraHealth:
    """One camera's pulse."""

    camera: CameraConfig
    context: EventContext
    incidents: Incidents
    since_s: float
    received: RateMeter = field(default_factory=RateMeter)
    analysed: RateMeter = field(default_factory=RateMeter)
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is read of a camera each second.

    Attributes:
        last_frame_mono_s: host time of the last decoded picture; None before the first.
        decoded: pictures decoded since the start.
        delivered: pictures handed to analysis since the start.
        shed: whether its stream is closed, as the plan gives the camera up: it cannot be told then whether it
            is there.
    """

    last_frame_mono_s: float | None
    decoded: int
    delivered: int
    shed: bool = False


class Health:
    """Turns pulses into `camera.offline` incidents, rates and heartbeats."""

    def __init__(
        self,
        cameras: Mapping[str, tuple[CameraConfig, EventContext]],
        node: EventContext,
        heartbeat_s: float,
        now_s: float,
        new_id: Callable[[], str],
    ) -> None:
        self._node = node
        self._heartbeat_s = heartbeat_s
        self._started_s = now_s
        self._beat_s = now_s
        policy = {"camera.offline": Policy(hold_s=0.0, release_s=RECOVERED_S)}
        self._cameras = {
            id_: CameraHealth(
                camera, context, Incidents(id_, {(k, id_): p for k, p in policy.items()}, new_id), now_s
            )
            for id_, (camera, context) in cameras.items()
        }

    def step(self, pulses: Mapping[str, Pulse], now_s: float, utc: datetime) -> list[EventDraft]:
        """Look at every camera once; returns the events that follow, a due heartbeat among them.

        Nothing is said of a camera that is shed; its silence counts from when it is served again.
        """
        drafts: list[EventDraft] = []
        up = 0
        for id_, health in self._cameras.items():
            pulse = pulses[id_]
            health.received.read(now_s, pulse.decoded)
            health.analysed.read(now_s, pulse.delivered)
            if pulse.shed:
                health.since_s = now_s
                continue
            since_s = max(health.since_s, pulse.last_frame_mono_s or health.since_s)
            seen = offline(id_, max(0.0, now_s - since_s), health.camera.offline_after_s)
            up += seen.level is None and pulse.last_frame_mono_s is not None
            changes = health.incidents.update([seen], now_s, utc)
            health.open = health.incidents.open
            drafts.extend(incident_event(health.context, change) for change in changes)
        if now_s >= self._beat_s:
            self._beat_s = now_s + self._heartbeat_s
            drafts.append(heartbeat_event(self._node, utc, self._measures(up, now_s)))
        return drafts

    def rates(self, camera_id: str) -> tuple[float, float]:
        """Pictures decoded and pictures analysed a second, over the last seconds."""
        health = self._cameras[camera_id]
        return health.received.per_s, health.analysed.per_s

    def open_incidents(self, camera_id: str) -> Sequence[str]:
        """The camera's own open incidents as `kind/zone`."""
        return self._cameras[camera_id].open

    def _measures(self, up: int, now_s: float) -> dict[str, float]:
        return {
            "cameras": float(len(self._cameras)),
            "cameras_up": float(up),
            "analysed_fps": round(sum(h.analysed.per_s for h in self._cameras.values()), 2),
            "uptime_s": round(now_s - self._started_s, 1),
        }
