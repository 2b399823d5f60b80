"""What a rule is made of: a section of the configuration, and what looks at a camera for it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from edge.crowd import Floor, level_of
from edge.errors import RuleError, SiteError
from edge.normality_store import NormalityStore
from edge.observation import Observation
from edge.policy import Policy
from edge.schedule import Hours
from edge.sections import Hold, Id, Section, suggestion
from edge.site import Site
from edge.view import Rows, View

WHOLE_VIEW = "view"
"""What a rule without a zone watches, as its events name it."""

PERSON_CLASSES = ("person", "pedestrian")
"""Classes that crowd measures count; the first that the detector knows."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a rule is bound to.

    Attributes:
        site: the camera's zones, lines and ground.
        class_names: of the detector.
    """

    site: Site
    class_names: tuple[str, ...]

    @property
    def person(self) -> int | None:
        """Index of the class that crowd measures count; None where the detector knows none."""
        return next(
            (self.class_names.index(name) for name in PERSON_CLASSES if name in self.class_names), None
        )

    @property
    def known(self) -> str:
        """The classes in words, the first twelve of many."""
        shown = ", ".join(self.class_names[:12])
        more = len(self.class_names) - 12
        return f"{shown} and {more} more" if more > 0 else shown


class Watcher(ABC):
    """One rule at one camera, with the little that it remembers between looks.

    Attributes:
        unavailable: why it could not be judged at the last look; None where it could.
        strictness: a factor, 1 or more: how much surer than usual it must be, by the centre's verdicts.
    """

    unavailable: str | None = None
    strictness: float = 1.0

    @abstractmethod
    def step(self, view: View) -> list[Observation]:
        """Judge one look; none where there is nothing to say, and then its incident stays as it is."""


class LearningWatcher(Watcher, ABC):
    """One that learns what is usual at its camera, and does so over weeks."""

    @abstractmethod
    def remember(self, store: NormalityStore, camera_id: str) -> None:
        """Take up what it learned before, and keep what it learns from now on."""

    @abstractmethod
    def keep(self) -> None:
        """Keep what it has learned, on the disk when this returns."""

    @abstractmethod
    def forget(self) -> None:
        """Forget what it has learned, on the disk as well."""


class RuleSection(Section, ABC):
    """A rule's section, and what it asks for. One file of `edge.rules` declares one.

    Attributes:
        FLOOR_FPS: analysed pictures a second below which it is blind: its safety floor.
        STILL: whether it asks for things that keep still.
        FIRE: whether it asks for looks for fire, which need a model of their own.
        FALLEN: whether it asks for looks for who lies, which need a model of their own.
        PLACE: what it watches, `zone` or `line`: also the name of the key that says which.
    """

    FLOOR_FPS: ClassVar[float]
    STILL: ClassVar[bool] = False
    FIRE: ClassVar[bool] = False
    FALLEN: ClassVar[bool] = False
    PLACE: ClassVar[Literal["zone", "line"]] = "zone"

    kind: str
    floor_fps: float | None = Field(
        None, gt=0, le=60, description="Rate below which it is blind here, above the rule's own; empty: that."
    )
    schedule: tuple[Hours, ...] = Field(
        (), max_length=32, description="Hours in which it holds, in the node's time; empty: always."
    )
    cooldown_s: Hold = Field(
        0.0, description="Seconds after an incident in which none begins that is no more severe."
    )
    strictest: float = Field(
        2.0,
        ge=1,
        le=5,
        description="Factor by which alarms that the centre found false may lengthen its waiting.",
    )

    @field_validator("floor_fps")
    @classmethod
    def _no_lower(cls, value: float | None) -> float | None:
        if value is not None and value < cls.FLOOR_FPS:
            raise ValueError(f"must be at least {cls.FLOOR_FPS:g}: below that the rule is blind anywhere")
        return value

    @classmethod
    def name(cls) -> str:
        """The rule's kind, such as `crowd.density`."""
        kind: str = get_args(cls.model_fields["kind"].annotation)[0]
        return kind

    @property
    @abstractmethod
    def subject(self) -> str:
        """Id of the zone or line that it watches."""

    @property
    def floor(self) -> float:
        """Analysed pictures a second below which it is blind at this camera."""
        return self.floor_fps or self.FLOOR_FPS

    @property
    def policy(self) -> Policy:
        """How steady what it sees must be."""
        return Policy(cooldown_s=self.cooldown_s)

    def check(self, site: Site) -> None:
        """Refuse a site that cannot give what the rule needs.

        Raises:
            SiteError: with the key below the rule.
        """

    @abstractmethod
    def watch(self, setting: Setting) -> Watcher:
        """What looks for this rule.

        Raises:
            RuleError: the detector cannot give what the rule needs; with the key below the rule.
        """


class ZoneRule(RuleSection, ABC):
    """A rule of a zone."""

    zone: Id

    @property
    def subject(self) -> str:
        """Id of the zone."""
        return self.zone


class Steady(RuleSection, ABC):
    """Keys of a rule with levels."""

    hysteresis: float = Field(
        0.15, ge=0, lt=1, description="Share by which a value must fall below a level before that is lost."
    )
    hold_s: Hold = Field(5.0, description="Seconds a level must last before the incident begins or rises.")
    release_s: Hold = Field(10.0, description="Seconds of calm before it ends or falls.")

    @property
    def keep(self) -> float:
        """The factor of thresholds for levels that are reached already."""
        return 1 - self.hysteresis

    @property
    def policy(self) -> Policy:
        """How steady what it sees must be."""
        return Policy(self.hold_s, self.release_s, cooldown_s=self.cooldown_s)


class Urgent(Steady):
    """Keys of a rule whose severe levels cannot wait for as long as its mild ones.

    Few people meet by chance, and part again, more often than many do; and of what is mild nobody need hear
    at once.
    """

    urgent_hold_s: Hold = Field(2.0, description="Seconds for levels 2 and 1, if that is less than hold_s.")

    @property
    def policy(self) -> Policy:
        """How steady what it sees must be."""
        return Policy(self.hold_s, self.release_s, self.urgent_hold_s, self.cooldown_s)


class CrowdRule(Steady, ZoneRule, ABC):
    """A rule of people on a zone's ground."""

    def check(self, site: Site) -> None:
        """Refuse a zone without ground.

        Raises:
            SiteError: it is one; with the key below the rule.
        """
        self.floor_at(site)

    def floor_at(self, site: Site) -> Floor:
        """The zone's ground.

        Raises:
            SiteError: it has none; with the key below the rule.
        """
        floor = site.zone(self.zone).floor
        if floor is None:
            raise SiteError("zone", without_ground(self.name(), self.zone))
        return floor


@dataclass(frozen=True, slots=True)
class Severity:
    """How severe a look is.

    Attributes:
        level: that it calls for.
        sustains: that it keeps up where it was reached.
    """

    level: int | None = None
    sustains: int | None = None

    @classmethod
    def of(cls, value: float, steps: Sequence[float], keep: float) -> Self:
        """Severity of a value by the rising thresholds of levels 4, 3, 2, 1, in the value's units.

        `keep` times the thresholds sustains a level.
        """
        return cls(level_of(value, steps), level_of(value, [step * keep for step in steps]))

    @property
    def calm(self) -> bool:
        """Neither calls for a level nor keeps one up."""
        return self.level is None and self.sustains is None


def rising(steps: tuple[float, ...], words: str) -> None:
    """Refuse thresholds that are not positive or do not rise.

    Raises:
        ValueError: with `words`.
    """
    if sorted(set(steps)) != list(steps) or steps[0] <= 0:
        raise ValueError(words)


def without_ground(what: str, place: str) -> str:
    """The error of a rule that needs ground where there is none."""
    return (
        f"{what} in {place!r} cannot be measured without ground: give the camera four or more surveyed "
        f"ground points, or calibrate it with `sharpeyes calibrate`"
    )


def person_needed(setting: Setting) -> None:
    """Refuse a detector that knows no people.

    Raises:
        RuleError: it knows none.
    """
    if setting.person is None:
        raise RuleError("kind", f"needs a detector that knows 'person'; this one knows {setting.known}")


def counted(classes: Sequence[str], setting: Setting) -> NDArray[np.bool_]:
    """Whether a rule counts each of the detector's classes: (classes,) bool.

    Raises:
        RuleError: the detector does not know a class.
    """
    for i, name in enumerate(classes):
        if name not in setting.class_names:
            near = suggestion(name, setting.class_names)
            hint = near if "mean" in near else ""
            text = f"the detector knows no {name!r}{hint}; it knows {setting.known}"
            raise RuleError(f"classes[{i}]", text)
    return np.array([name in classes for name in setting.class_names], np.bool_)


def verdict(
    rule: RuleSection, view: View, severity: Severity, measures: dict[str, float], yardstick: str, rows: Rows
) -> Observation:
    """What a rule says of one look, with the boxes of those concerned where it is not calm.

    Args:
        rule: who says it.
        view: the look.
        severity: how severe it is.
        measures: numbers with units.
        yardstick: the measure whose highest value sums up an incident; may be unknown.
        rows: (k,) of the tracks concerned.
    """
    return Observation(
        rule.kind,
        rule.subject,
        severity.level,
        measures,
        confidence=view.sureness(rows),
        boxes=() if severity.calm else view.boxes(rows),
        sustains=severity.sustains,
        yardstick=yardstick if yardstick in measures else "",
    )


def rounded(places: int, **measures: float | None) -> dict[str, float]:
    """Measures that are known, rounded."""
    return {name: round(value, places) for name, value in measures.items() if value is not None}
