"""Whether a camera still looks where it did: only while it does are its places where they were drawn."""

import math
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config import CameraConfig
from edge.eyesight_rules import SUBJECT
from edge.hysteresis import Evidence, Wanted, weigh
from edge.observation import Observation
from edge.site import Site
from edge.view_store import Appearance, Appearances, ViewStore, view_key
from edge.yardstick import Yardstick
from streams.learner import Learner
from streams.shift import LEAST_TILES, STILL, Backdrop, Match, Plane, Shift, apart, measure

_log = structlog.get_logger(__name__)

EVERY_S = 2.0
"""Seconds of the camera's clock between two looks."""

MOVED = "the camera has moved since it was calibrated: run `sharpeyes calibrate` again"
"""Why the ground is not known any more."""
ELSEWHERE = "the camera looks elsewhere than where its zones and lines were drawn: draw them again"
"""Why places in the picture are not known any more."""
DOUBTED = "the camera may have been moved: the next looks will tell"
"""Why nothing is said of places meanwhile."""

_LOOKS = 5
_BACK = 0.7
"""Share of the limits under which a camera is back; between the two nothing changes."""

_SEEK_S, _SEEK_SOON_S = 16.0, 4.0
"""Between two searches anywhere: usually, and where it has only just been lost."""
_QUICK_LOOKS, _QUICK_EVERY_S = 5, 2.0
"""Of a view that serves until one has been learned over minutes."""
_HINTED = 0.01
"""Picture widths by which a hint may be off."""
_EXPLAINED = 0.5
"""Share of agreeing tiles above which the view is known as well as can be, and none needs to be learned."""
_APPEARANCES = 4
_ELSEWHERE_TILES = 12
_ELSEWHERE_SHARE = 0.1
_ELSEWHERE_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Moved:
    """A camera that looks elsewhere.

    Attributes:
        shift: how the view has shifted since the calibration; None where nothing of it is seen any more.
        ground_m: largest error of the zones' corners in metres, may be infinite; None where it is not known.
        share: tiles of the background that agree, 0 to 1.
    """

    shift: Shift | None
    ground_m: float | None
    share: float


class Steadiness:
    """Watches whether one camera is moved. No clock of its own; for one thread.

    The view's background is learned over minutes at the first start after a calibration, or after zones were
    drawn, and kept; until then one of a few looks serves. Others are learned as its looks change over the
    day, each with how far it was off, so that no slow turn goes unseen.

    Args:
        camera: its configuration.
        site: of that camera.
        store: where backgrounds are kept; None for nowhere, as for a clip.

    Attributes:
        moved: how the camera is moved; None while it is not, as far as is known.
        doubted: why it may have been moved a moment ago, since when places are not to be trusted; None where
            nothing says so.
    """

    def __init__(self, camera: CameraConfig, site: Site, store: ViewStore | None) -> None:
        self.moved: Moved | None = None
        self.doubted: str | None = None
        self._camera_id = camera.id
        self._rule = camera.health.moved
        self._key = view_key(camera)
        self._yardstick = Yardstick(site, self._rule.view_share)
        self._store = store
        self._views: Appearances = store.load(camera.id, self._key) if store is not None else ()
        self._hints = [STILL] * len(self._views)
        self._best = self._turn = 0
        self._state = Evidence()
        self._learner = Learner()
        self._quick: Learner | None = None if self._views else Learner(_QUICK_LOOKS, _QUICK_EVERY_S)
        self._looked_s: float | None = None
        self._sought_s = -math.inf
        self._lost = False
        self._complained = False

    @property
    def ground_lost(self) -> str | None:
        """Why places on the ground are not to be trusted; None while they are."""
        return MOVED if self.moved is not None else self.doubted

    @property
    def places_lost(self) -> str | None:
        """Why not even places in the picture are; None while they are."""
        moved = self.moved
        if moved is None:
            return self.doubted
        if moved.shift is not None and not self._yardstick.shows(moved.shift):
            return None
        return ELSEWHERE

    def due(self, pts_s: float) -> bool:
        """Whether it is time for a look."""
        if not self._rule.enabled:
            return False
        return self._looked_s is None or not 0.0 <= pts_s - self._looked_s < EVERY_S - 1e-6

    def look(self, luma: Plane, pts_s: float, people: NDArray[np.floating] | None = None) -> Moved | None:
        """Take one look, about every `EVERY_S`.

        Args:
            luma: (height, width) uint8 of the whole picture, best 320 x 180.
            pts_s: camera time; a step back is a new beginning of what is not yet certain.
            people: (n, 4) boxes of who or what is there, fractions: nothing of them enters a background.

        Returns:
            How the camera is moved; None while it is not, as far as is known.
        """
        self._looked_s = pts_s
        if pts_s < self._sought_s:
            self._sought_s = -math.inf
        match = self._match(luma, pts_s) if self._views else None
        far = self._judge(match, pts_s)
        if self._quick is None:
            if match is not None and match.share >= _EXPLAINED and far is False:
                self._learner.clear()
                return self.moved
        elif not self._views:
            first = self._quick.add(luma, pts_s, people)
            if first is not None and first.asked >= LEAST_TILES:
                self._views, self._hints = (Appearance(first),), [STILL]
        learned = self._learner.add(luma, pts_s, people)
        if learned is not None:
            self._learned(learned)
        return self.moved

    def observation(self) -> Observation:
        """What is to be said at present: `camera.moved` of the view, with a level while it is moved."""
        moved = self.moved
        if moved is None:
            return Observation("camera.moved", SUBJECT, None)
        measures = {"agreeing_share": round(moved.share, 3)}
        if moved.shift is not None:
            measures |= {
                "right_share": round(moved.shift.right, 4),
                "down_share": round(moved.shift.down, 4),
                "rotation_deg": round(moved.shift.rotation_deg, 2),
                "scale_ratio": round(moved.shift.scale, 4),
            }
        if moved.ground_m is not None and math.isfinite(moved.ground_m):
            measures["ground_error_m"] = round(min(moved.ground_m, 1e6), 2)
        return Observation(
            "camera.moved", SUBJECT, self._rule.level, measures, confidence=min(1.0, 0.5 + moved.share)
        )

    def _judge(self, match: Match | None, pts_s: float) -> bool | None:
        """Whether a look is far off; the state goes on by it."""
        far = None
        if match is not None and match.shift is not None:
            far = self._yardstick.matters(match.shift, _BACK if self._state.holds else 1.0)
        rule = self._rule
        wanted = Wanted(_LOOKS, rule.release_s if self._state.holds else rule.hold_s)
        self._settle(weigh(self._state, far, pts_s, wanted), match if far else None)
        shift = match.shift if match is not None else None
        doubted = far and not self._state.holds and shift is not None and self._yardstick.shows(shift)
        if far is not None:
            self.doubted = DOUBTED if doubted else None
        return far

    def _settle(self, state: Evidence, match: Match | None) -> None:
        was, self._state = self._state.holds, state
        if not state.holds:
            self.moved = None
        elif match is not None and match.shift is not None:
            self.moved = Moved(match.shift, self._yardstick.ground_m(match.shift), match.share)
        elif self.moved is None:
            self.moved = Moved(None, None, 0.0)
        if state.holds != was:
            lost = MOVED if self._yardstick.calibrated else ELSEWHERE
            text = lost if state.holds else "the camera looks again where it did when it was set up"
            _log.warning(text, camera=self._camera_id)

    def _match(self, luma: Plane, pts_s: float) -> Match:
        """By the appearance that was right last, or by another one, in turn: a look may cost little."""
        first = self._measured(self._best, luma, seek=False)
        if first.shift is not None:
            self._lost = False
            return first
        if len(self._views) > 1:
            self._turn = (self._turn + 1) % len(self._views)
            if self._turn == self._best:
                self._turn = (self._turn + 1) % len(self._views)
            other = self._measured(self._turn, luma, seek=False)
            if other.shift is not None:
                self._best, self._lost = self._turn, False
                return other
        if pts_s - self._sought_s >= (_SEEK_S if self._lost else _SEEK_SOON_S):
            self._sought_s, self._lost = pts_s, True
            return self._measured(self._best, luma, seek=True)
        return first

    def _measured(
        self, row: int, luma: Plane, *, seek: bool, known: NDArray[np.bool_] | None = None
    ) -> Match:
        """Against one appearance, but with the shift since the calibration."""
        view = self._views[row]
        match = measure(view.backdrop, luma, known, hint=self._hints[row], seek=seek)
        if match.shift is None:
            return match
        hint = self._hints[row]
        if not self._yardstick.matters(match.shift):
            self._hints[row] = STILL
        elif hint == STILL or apart(match.shift, hint) > _HINTED:
            # Another hint costs a new set of tiles; one that is nearly right does as well.
            self._hints[row] = match.shift
        return replace(match, shift=match.shift.after(view.offset))

    def _learned(self, backdrop: Backdrop) -> None:
        """What a background of the last minutes says, which is more than one look."""
        if self._quick is not None:
            self._replace(backdrop)
            return
        matches = [
            self._measured(row, backdrop.grey, seek=True, known=backdrop.known)
            for row in range(len(self._views))
        ]
        best = max(matches, key=lambda match: (match.shift is not None, match.share))
        if best.shift is not None:
            if self._yardstick.matters(best.shift):
                self._settle(Evidence(holds=True), best)
            elif backdrop.asked >= LEAST_TILES and best.share < _EXPLAINED:
                self._add(Appearance(backdrop, best.shift))
        elif (
            backdrop.asked >= _ELSEWHERE_TILES
            and best.share <= _ELSEWHERE_SHARE
            and float(backdrop.known.mean()) >= _ELSEWHERE_KNOWN
        ):
            # A place that stands still, full of edges, and none of them is where it was.
            self._settle(Evidence(holds=True), None)

    def _replace(self, backdrop: Backdrop) -> None:
        """A view learned over minutes takes the place of the first, unless the camera was moved meanwhile."""
        if self._views:
            match = self._measured(0, backdrop.grey, seek=True, known=backdrop.known)
            if match.shift is not None and self._yardstick.matters(match.shift):
                self._settle(Evidence(holds=True), match)
                return
            if self._state.holds:
                return
        if backdrop.asked >= LEAST_TILES:
            self._views, self._hints, self._best, self._quick = (), [], 0, None
        self._begin(backdrop)

    def _begin(self, backdrop: Backdrop) -> None:
        if backdrop.asked >= LEAST_TILES:
            self._add(Appearance(backdrop))
        elif not self._complained:
            self._complained = True
            _log.warning(
                "too little of the place is seen to notice whether the camera is moved; it goes on trying",
                camera=self._camera_id,
            )

    def _add(self, view: Appearance) -> None:
        if len(self._views) >= _APPEARANCES:
            # The first stays, since all others are measured by it; the oldest other one goes.
            self._views, self._hints = (self._views[0], *self._views[2:]), [self._hints[0], *self._hints[2:]]
        self._views, self._hints = (*self._views, view), [*self._hints, STILL]
        self._best = len(self._views) - 1
        if self._store is not None:
            self._store.save(self._camera_id, self._key, self._views)
