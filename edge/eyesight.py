"""Whether one camera can see: dark, covered, blurred or frozen pictures, by a look about once a second."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge.eyesight_rules import (
    SUBJECT,
    BlurredRule,
    CoveredRule,
    DarkRule,
    FrozenRule,
    HealthConfig,
    HealthRule,
)
from edge.hysteresis import Evidence, Wanted, weigh
from edge.observation import Observation
from edge.schedule import holds
from streams.quality import Quality, QualityMeter

EVERY_S = 1.0
"""Seconds of the camera's clock between two looks."""

_LOOKS, _LOOKS_BACK = 3, 2
_KEEPS = 0.75
"""Share of a limit below which what has begun is over."""
_KEEPS_STILL = 0.95
"""The same of what stands still: of a calm place most does, between one keyframe and the next."""
_NOISE = 3.0
"""Grey levels: a camera at night turns up its gain, and shows noise where nothing else is to be seen."""
_BRIGHT = 2.5
"""How much more contrast than that of a dark picture there must have been a minute ago: dusk takes longer."""
_SAME_LAYOUT = 0.5
"""Light and dark are where they were: what is gone is unsharp beyond recognition, not covered."""
_BLACK = 0.6
"""How much darker than that of a dark picture the brightest part of most of a black one is."""
_SOME = 0.1
"""Share of the view where unsharp things must be seen before others count as unsharp beyond recognition."""
_DULL = 0.3
"""Share of the view that has lost its detail, above which nothing is learned from a picture."""
_ACCEPTS_S = 60.0
"""Unless that lasts for so long without being a fault: then lamps have been switched, or night has come."""


class Eyesight:
    """Judges one camera's looks. No clock of its own; for one thread.

    Args:
        eyes: the camera's section.

    Attributes:
        blind: why nothing else can be seen at present; None where it can.
        suspicious: whether a look has just shown what the looks before did not, so that more are wanted soon.
    """

    def __init__(self, eyes: HealthConfig) -> None:
        self.blind: str | None = None
        self.suspicious = False
        self._eyes = eyes
        self._rules = tuple(rule for rule in eyes.enabled if rule.KIND != eyes.moved.KIND)
        self._meter = QualityMeter(eyes.frozen.hold_s, eyes.blurred.sharpness_ratio)
        self._states = {rule.KIND: Evidence() for rule in self._rules}
        self._measures: Mapping[str, Mapping[str, float]] = {}
        self._told: set[str] = set()
        self._looked_s: float | None = None
        self._sound_s: float | None = None

    def due(self, pts_s: float) -> bool:
        """Whether it is time for a look."""
        if not self._rules:
            return False
        return self._looked_s is None or not 0.0 <= pts_s - self._looked_s < EVERY_S - 1e-6

    def look(self, luma: NDArray[np.uint8], pts_s: float) -> None:
        """Take one look, about every `EVERY_S`.

        Args:
            luma: (height, width) uint8 of the whole picture, best 320 x 180.
            pts_s: camera time; a step back is a new beginning of what is not yet certain.
        """
        self._looked_s = pts_s
        quality = self._meter.measure(luma, pts_s)
        verdicts = self._verdicts(quality)
        for rule in self._rules:
            state, seen = self._states[rule.KIND], verdicts[rule.KIND]
            self._states[rule.KIND] = weigh(state, seen, pts_s, _wanted(rule, state))
        self._told = {kind for kind, seen in verdicts.items() if seen is not None}
        self._measures = _measures(quality)
        self.suspicious = any(state.looks for state in self._states.values()) or _stands(quality)
        self.blind = next(
            (rule.BLINDS for rule in self._rules if rule.BLINDS and self._states[rule.KIND].holds), None
        )
        if self._learnable(quality, pts_s):
            self._meter.learn(luma, pts_s)

    def observations(self, local: datetime | None = None) -> list[Observation]:
        """What is to be said at present, of what could be told at the last look.

        Args:
            local: the time of day there; None where nobody knows, and then every schedule holds.
        """
        said = []
        for rule in self._rules:
            state = self._states[rule.KIND]
            if rule.KIND in self._told and holds(rule.schedule, local):
                level = rule.level if state.holds else None
                measures = self._measures.get(rule.KIND, {})
                said.append(Observation(rule.KIND, SUBJECT, level, measures, confidence=0.9))
        return said

    def _verdicts(self, quality: Quality) -> dict[str, bool | None]:
        """What the look says of each fault; None where a graver one hides it, or nothing can be told."""
        eyes = self._eyes
        dark = self._dark(eyes.dark, quality)
        black = _black(eyes.dark, quality, 1.0)
        covered = None if black else self._covered(eyes.covered, quality)
        blurred = None if black or covered else self._blurred(eyes.blurred, quality)
        dull = (quality.gone or 0.0) + (quality.unsharp or 0.0) > _DULL
        frozen = None if black or dull else self._frozen(eyes.frozen, quality)
        told = {DarkRule.KIND: dark, CoveredRule.KIND: covered}
        return {**told, BlurredRule.KIND: blurred, FrozenRule.KIND: frozen}

    def _learnable(self, quality: Quality, pts_s: float) -> bool:
        """Whether a picture is as it should be, as far as can be told."""
        if any(state.holds or state.looks for state in self._states.values()):
            self._sound_s = pts_s
            return False
        if (quality.gone or 0.0) + (quality.unsharp or 0.0) <= _DULL:
            self._sound_s = pts_s
            return True
        if self._sound_s is not None and 0.0 <= pts_s - self._sound_s < _ACCEPTS_S:
            return False
        self._meter.forget()
        self._sound_s = pts_s
        return True

    def _keeps(self, kind: str) -> float:
        state = self._states.get(kind)
        return _KEEPS if state is not None and state.holds else 1.0

    def _dark(self, rule: DarkRule, quality: Quality) -> bool | None:
        keeps = self._keeps(rule.KIND)
        if quality.usual_span is None:
            return None
        if not _black(rule, quality, 1.0 / keeps):
            return False
        if keeps < 1.0:
            return True
        # Where it has been so for long, or noise is all there is, it is night.
        return quality.noise < _NOISE and quality.usual_span >= _BRIGHT * 255.0 * rule.contrast_share

    def _covered(self, rule: CoveredRule, quality: Quality) -> bool | None:
        if quality.gone is None or quality.unsharp is None:
            return None
        if quality.bulk <= _BLACK * 255.0 * self._eyes.dark.brightest_share:
            return None  # that may be a night with a lamp or two
        return (
            quality.gone >= rule.hidden_share * self._keeps(rule.KIND)
            and quality.gone > quality.unsharp
            and quality.layout < _SAME_LAYOUT
        )

    def _blurred(self, rule: BlurredRule, quality: Quality) -> bool | None:
        if quality.gone is None or quality.unsharp is None:
            return None
        unsharp = quality.unsharp
        if unsharp >= _SOME and quality.layout >= _SAME_LAYOUT:
            unsharp += quality.gone
        return unsharp >= rule.unsharp_share * self._keeps(rule.KIND)

    def _frozen(self, rule: FrozenRule, quality: Quality) -> bool | None:
        if quality.standstill is None:
            return None
        keeps = _KEEPS_STILL if self._keeps(rule.KIND) < 1.0 else 1.0
        if quality.standstill.share < rule.still_share * keeps:
            return False
        return True if quality.standstill.sure else None


def _black(rule: DarkRule, quality: Quality, factor: float) -> bool:
    """Whether nothing is to be seen for want of light."""
    dim = quality.brightest <= 255.0 * rule.brightest_share * factor
    return dim and quality.span <= 255.0 * rule.contrast_share * factor


def _wanted(rule: HealthRule, state: Evidence) -> Wanted:
    if state.holds:
        return Wanted(_LOOKS_BACK, rule.release_s)
    # Who has waited for renewal has waited.
    return Wanted(_LOOKS_BACK, 0.0) if isinstance(rule, FrozenRule) else Wanted(_LOOKS, rule.hold_s)


def _stands(quality: Quality) -> bool:
    return quality.standstill is not None and quality.standstill.share >= _SAME_LAYOUT


def _measures(quality: Quality) -> dict[str, dict[str, float]]:
    light = {
        "brightest_share": round(quality.brightest / 255.0, 3),
        "contrast_share": round(quality.span / 255.0, 3),
    }
    hidden = {} if quality.gone is None else {"hidden_share": round(quality.gone, 3)}
    unsharp = {} if quality.unsharp is None else {"unsharp_share": round(quality.unsharp, 3)}
    if quality.sharpness is not None:
        unsharp["sharpness_ratio"] = round(quality.sharpness, 3)
    still = {} if quality.standstill is None else {"still_share": round(quality.standstill.share, 3)}
    return {
        DarkRule.KIND: light,
        CoveredRule.KIND: hidden,
        BlurredRule.KIND: unsharp,
        FrozenRule.KIND: still,
    }
