"""How noisy velocities are, measured on people who stand alone: nobody shakes them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from edge.people import People
from edge.pressure import Noise, velocity_noise

REACH_M = 0.3
"""Who has stayed within this of one place for `STILL_S` stands. Feet in the picture waver by half of it."""
STILL_S = 4.0
ALONE_M = 1.5
"""Nobody is nearer: in a crowd those who stand are shaken, and that is no noise."""
EVERY_S = 1.0
SAMPLES = 200
_LEAST = 20
_LOST_S = 2.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where somebody has been standing.

    Attributes:
        at: (x, y) metres.
        since_s, seen_s: camera times.
    """

    at: tuple[float, float]
    since_s: float
    seen_s: float


@dataclass(frozen=True, slots=True)
class Stillness:
    """What is known of those who stand.

    Attributes:
        anchors: by key.
        samples: velocities in metres per second of those who stood, the oldest first.
        noise: of these.
        looked_s: camera time of the last look that was taken in.
    """

    anchors: Mapping[int, Anchor] = field(default_factory=lambda: MappingProxyType({}))
    samples: tuple[tuple[float, float], ...] = ()
    noise: Noise = field(default_factory=lambda: Noise(math.inf))
    looked_s: float = -math.inf


def step_stillness(state: Stillness, people: People, pts_s: float) -> tuple[Stillness, Noise]:
    """Take in one look; those within a second of the last one change nothing.

    Args:
        state: from the look before.
        people: everybody in the picture.
        pts_s: camera time, not below the last one's.

    Returns:
        The next state, and the noise; infinite until people have stood for some twenty seconds in all.
    """
    if pts_s - state.looked_s < EVERY_S - 1e-6:
        return state, state.noise
    anchors = {key: anchor for key, anchor in state.anchors.items() if pts_s - anchor.seen_s <= _LOST_S}
    tracked = people.select(people.tracked)
    samples = []
    for row in np.argsort(tracked.keys):
        key, (x, y) = int(tracked.keys[row]), tracked.at[row].tolist()
        anchor = anchors.get(key)
        if anchor is None or math.hypot(x - anchor.at[0], y - anchor.at[1]) > REACH_M:
            anchors[key] = Anchor((x, y), pts_s, pts_s)
            continue
        anchors[key] = Anchor(anchor.at, anchor.since_s, pts_s)
        if pts_s - anchor.since_s >= STILL_S and tracked.moving[row] and _alone(people, tracked.at[row]):
            samples.append((float(tracked.velocity[row, 0]), float(tracked.velocity[row, 1])))
    kept, noise = (*state.samples, *samples)[-SAMPLES:], state.noise
    if samples and len(kept) >= _LEAST:
        noise = Noise(*velocity_noise(np.array(kept)))
    return Stillness(MappingProxyType(anchors), kept, noise, pts_s), noise


def _alone(people: People, at: np.ndarray) -> bool:
    near = np.hypot(*(people.at - at).T) <= ALONE_M
    return float(people.weight[near].sum()) <= 1.0 + 1e-9
