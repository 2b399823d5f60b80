"""The service level of one camera: how often it is analysed, and how well.

The planner gives every camera one level each second; its reader and the analysis keep to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MAX_FPS: Final = 60.0
DENSITY_PERIOD_S: Final = 2.0
"""How often density is estimated where it is not estimated with every look: its rule's floor."""
FIRE_PERIOD_S: Final = DENSITY_PERIOD_S
"""How often fire is looked for where a rule asks for it: the budget counts both at one rate."""

PACES_S: Final = (8.0, 4.0, 0.0)
"""The paces the planner chooses from, worst first: well within the 12 s after which a camera counts as
unwatched, whatever its keyframes."""
PACE_SLACK: Final = 0.95
"""A keyframe that comes this much of the pace after the last one is looked at: their times jitter."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service level. Levels are ordered by `rank`, the better the larger.

    Attributes:
        fps: analysed pictures a second while the camera is active, 0..60; 0 is keyframes only.
        tiles: large scenes are also looked at from closer: in tiles, or with a larger input.
        density: the crowd's density is estimated with every look, not only every `DENSITY_PERIOD_S`.
        shed: nothing of the camera is decoded, not even its keyframes: it is blind, and said to be.
        pace_s: while nothing moves, keyframes that follow the last one looked at sooner than this are left
            undecoded; 0 for none. Packets still wake the camera.

    Raises:
        ValueError: for a rate or a pace out of range, or a shed camera that is served.
    """

    fps: float
    tiles: bool = False
    density: bool = False
    shed: bool = False
    pace_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and 0.0 <= self.fps <= MAX_FPS):
            raise ValueError(f"fps must be in 0..{MAX_FPS:g}, not {self.fps!r}")
        if not 0.0 <= self.pace_s <= PACES_S[0]:
            raise ValueError(f"pace_s must be in 0..{PACES_S[0]:g}, not {self.pace_s!r}")
        if self.shed and (self.fps or self.tiles or self.density or self.pace_s):
            raise ValueError("a shed camera is not analysed: fps 0, no tiles, no density, no pace")

    @property
    def keyframes_only(self) -> bool:
        """True where nothing between the keyframes is decoded (a shed camera included)."""
        return self.fps == 0.0

    @property
    def rank(self) -> tuple[bool, float, bool, bool, float]:
        """A key that sorts levels from worst (shed) to best."""
        return (not self.shed, self.fps, self.density, self.tiles, -self.pace_s)

    def __lt__(self, other: Service) -> bool:
        return self.rank < other.rank

    def __le__(self, other: Service) -> bool:
        return self.rank <= other.rank

    def __gt__(self, other: Service) -> bool:
        return self.rank > other.rank

    def __ge__(self, other: Service) -> bool:
        return self.rank >= other.rank


SHED: Final = Service(0.0, shed=True)
KEYFRAMES: Final = Service(0.0)
LADDER_FPS: Final = (0.0, 1.0, 2.0, 5.0, 10.0)
"""The analysed rates the planner chooses from (and a camera's own wanted rate on top of them)."""
LADDER: Final = tuple(Service(fps) for fps in LADDER_FPS)
FULL: Final = Service(LADDER_FPS[-1], tiles=True, density=True)
"""What a camera has before the first plan."""
