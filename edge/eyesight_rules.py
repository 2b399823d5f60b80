"""Sections of what is watched for on each camera itself, unless it is switched off: can it see at all?"""

from abc import ABC
from typing import ClassVar

from pydantic import Field

from edge.policy import Policy
from edge.schedule import Hours
from edge.sections import Hold, Level, Section

SUBJECT = "view"
"""What such incidents are of: the whole picture."""


class HealthRule(Section, ABC):
    """Keys of one of them.

    Attributes:
        KIND: of its events.
        BLINDS: why no other rule is judged while it lasts; empty where they still are.
    """

    KIND: ClassVar[str]
    BLINDS: ClassVar[str] = ""

    enabled: bool = Field(True, description="false: nobody watches for it on this camera.")
    level: Level = Field(3, description="Severity: it endangers nobody by itself, but nobody looks there.")
    hold_s: Hold = Field(4.0, description="Seconds that it must last, in three looks or more.")
    release_s: Hold = Field(3.0, description="Seconds without it before the incident ends.")
    cooldown_s: Hold = Field(0.0, description="Seconds after an incident in which none begins.")
    schedule: tuple[Hours, ...] = Field(
        (), max_length=32, description="Hours in which it holds, in the node's time; empty: always."
    )
    strictest: float = Field(
        2.0,
        ge=1,
        le=5,
        description="Factor by which alarms that the centre found false may lengthen its waiting.",
    )

    @property
    def policy(self) -> Policy:
        """It begins and ends at once: what keeps the evidence has waited."""
        return Policy(cooldown_s=self.cooldown_s, evidence_s=self.hold_s)


class DarkRule(HealthRule):
    """`camera.dark`: no light comes through, and no night explains it."""

    KIND = "camera.dark"
    BLINDS = "the picture is dark"

    brightest_share: float = Field(
        0.16, gt=0, lt=1, description="Brightness, of white, that nothing exceeds: a lamp does."
    )
    contrast_share: float = Field(
        0.06, gt=0, lt=1, description="Contrast, of black to white, below which nothing is seen."
    )


class CoveredRule(HealthRule):
    """`camera.covered`: something flat hides most of the view: a hand, a cloth, paint."""

    KIND = "camera.covered"
    BLINDS = "the camera is covered"

    hold_s: Hold = Field(5.0, description="Seconds that it must last, in three looks or more.")
    hidden_share: float = Field(0.6, gt=0, le=1, description="Share of the view that must be hidden.")


class BlurredRule(HealthRule):
    """`camera.blurred`: what is seen has lost its fine detail: focus, dirt, dew, fog."""

    KIND = "camera.blurred"

    hold_s: Hold = Field(6.0, description="Seconds that it must last, in three looks or more.")
    unsharp_share: float = Field(0.6, gt=0, le=1, description="Share of the view that must be unsharp.")
    sharpness_ratio: float = Field(
        0.5, gt=0, lt=1, description="Fine detail, of the usual, below which it is unsharp."
    )


class FrozenRule(HealthRule):
    """`camera.frozen`: the same picture again and again, but for a clock that may run in it."""

    KIND = "camera.frozen"
    BLINDS = "the picture is frozen"

    hold_s: float = Field(
        6.0, ge=2, le=60, description="Seconds without renewal; longer than from keyframe to keyframe."
    )
    cooldown_s: Hold = Field(
        30.0, description="Seconds after an incident in which none begins; longer than to the next keyframe."
    )
    still_share: float = Field(
        0.93, gt=0.5, le=1, description="Share of the picture that must stand still: a clock may run."
    )


class MovedRule(HealthRule):
    """`camera.moved`: the camera looks elsewhere than where it was set up."""

    KIND = "camera.moved"

    hold_s: Hold = Field(10.0, description="Seconds that it must last, in five looks or more.")
    release_s: Hold = Field(10.0, description="Seconds back at its place before the incident ends, likewise.")
    view_share: float = Field(
        0.02,
        gt=0.004,
        le=0.5,
        description="Shift, of the picture's width, that matters where no ground is known, and that suspends"
        " what is watched in the picture.",
    )


class HealthConfig(Section):
    """What is watched for on the camera itself. `camera.offline` has `offline_after_s`."""

    dark: DarkRule = DarkRule()
    covered: CoveredRule = CoveredRule()
    blurred: BlurredRule = BlurredRule()
    frozen: FrozenRule = FrozenRule()
    moved: MovedRule = MovedRule()

    @property
    def enabled(self) -> tuple[HealthRule, ...]:
        """Those that are enabled, the first before the others where several would explain a picture."""
        rules: tuple[HealthRule, ...] = (self.dark, self.covered, self.blurred, self.frozen, self.moved)
        return tuple(rule for rule in rules if rule.enabled)
