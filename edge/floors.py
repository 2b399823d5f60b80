"""What a camera has to look for, and the rate below which each task is blind."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.config import CameraConfig
from edge.rules import RULES

VIEW = "camera.view"
"""The task of a camera without rules: to be looked at."""

FLOOR_FPS: Mapping[str, float] = MappingProxyType(
    {
        **{rule.name(): rule.FLOOR_FPS for rule in RULES},
        VIEW: 0.05,  # as often as an idle camera is looked at anyway
    }
)
"""Analysed pictures a second below which a task of that kind is blind: its safety floor.

A rule declares its own; a camera's may be higher, by its profile or its configuration.
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that a camera watches for.

    Attributes:
        kind: of the rule, such as `crowd.density`; `camera.view` for a camera without rules.
        subject: id of the zone or line; of the camera for `camera.view`.
        floor_fps: analysed pictures a second below which the task is blind; above 0.
    """

    kind: str
    subject: str
    floor_fps: float

    def __post_init__(self) -> None:
        if not 0.0 < self.floor_fps <= 60.0:
            raise ValueError(f"floor_fps must be above 0 and at most 60, got {self.floor_fps}")

    @property
    def name(self) -> str:
        """`kind/subject`, as open incidents are named too.

        >>> Task("crowd.density", "plaza", 0.5).name
        'crowd.density/plaza'
        """
        return f"{self.kind}/{self.subject}"


def tasks_of(camera: CameraConfig) -> tuple[Task, ...]:
    """A camera's tasks, in the order of its rules; never empty."""
    tasks = (Task(rule.kind, rule.subject, rule.floor) for rule in camera.rules)
    return tuple(tasks) or (Task(VIEW, camera.id, FLOOR_FPS[VIEW]),)


def counts_heads(camera: CameraConfig) -> bool:
    """Whether a camera watches crowds, so that heads are counted there."""
    return any(rule.kind.startswith("crowd.") for rule in camera.rules)


def watches_falls(camera: CameraConfig) -> bool:
    """Whether a rule of the camera asks for looks for who lies."""
    return any(rule.FALLEN for rule in camera.rules)


def watches_fire(camera: CameraConfig) -> bool:
    """Whether a rule of the camera asks for looks for fire."""
    return any(rule.FIRE for rule in camera.rules)
