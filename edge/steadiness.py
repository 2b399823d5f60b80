"""Whether a calibrated camera still looks where it did: places on the ground hold only while it does."""

import math
from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config import CameraConfig
from edge.observation import Observation
from edge.site import Site
from edge.view_store import Appearance, Appearances, ViewStore, calibration_key
from edge.yardstick import Yardstick
from streams.learner import Learner
from streams.shift import LEAST_TILES, STILL, Backdrop, Match, Plane, Shift, apart, measure

_log = structlog.get_logger(__name__)

EVERY_S = 2.0
"""Seconds of the camera's clock between two looks."""

MOVED = "the camera has moved since it was calibrated: run `sharpeyes calibrate` again"
"""Why the ground is not known any more."""

LEVEL = 3
"""Severity of a camera that was moved: it endangers nobody by itself, but nobody measures there any more."""

_LOOKS = 5
_LASTS_S = 10.0
_FORGETS_S = 120.0
"""Two looks farther apart say nothing of what was between them."""
_BACK = 0.7
"""Share of the limits under which a camera is back; between the two nothing changes."""

_SEEK_S = 16.0
_HINTED = 0.01
"""Picture widths by which a hint may be off."""
_EXPLAINED = 0.5
"""Share of agreeing tiles above which the view is known as well as can be, and none needs to be learned."""
_APPEARANCES = 4
_ELSEWHERE_TILES = 12
_ELSEWHERE_SHARE = 0.1
_ELSEWHERE_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class State:
    """What the looks have shown so far.

    Attributes:
        moved: whether the camera looks elsewhere.
        looks: of the present row that says the contrary.
        first_s, last_s: camera times of that row's first and last look.
    """

    moved: bool = False
    looks: int = 0
    first_s: float = 0.0
    last_s: float = 0.0


def step(state: State, far: bool | None, pts_s: float) -> State:
    """What one look changes: a contrary row of some looks and seconds turns the state round.

    Args:
        state: before.
        far: whether the view was far from the calibration's; None where that could not be told, which changes
            nothing.
        pts_s: camera time.
    """
    if far is None:
        return state
    if far == state.moved:
        return State(state.moved)
    if not state.looks or not 0.0 <= pts_s - state.last_s <= _FORGETS_S:
        return State(state.moved, 1, pts_s, pts_s)
    looks = state.looks + 1
    if looks >= _LOOKS and pts_s - state.first_s >= _LASTS_S - 1e-6:
        return State(far)
    return State(state.moved, looks, state.first_s, pts_s)


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
    """Watches whether one calibrated camera is moved. No clock of its own; for one thread.

    The view's background is learned over minutes at the first start after a calibration, and kept. Others are
    learned as its looks change over the day, each with how far it was off, so that no slow turn goes unseen.

    Args:
        camera: its configuration.
        site: of that camera, with a ground plane.
        store: where backgrounds are kept; None for nowhere, as for a clip.

    Attributes:
        moved: how the camera is moved; None while it is not, as far as is known.

    Raises:
        ValueError: the camera is not calibrated.
    """

    def __init__(self, camera: CameraConfig, site: Site, store: ViewStore | None) -> None:
        self.moved: Moved | None = None
        self._camera_id = camera.id
        self._key = calibration_key(camera.ground)
        self._yardstick = Yardstick(site)
        self._store = store
        self._views: Appearances = store.load(camera.id, self._key) if store is not None else ()
        self._hints = [STILL] * len(self._views)
        self._best = self._turn = 0
        self._state = State()
        self._learner = Learner()
        self._looked_s: float | None = None
        self._sought_s = -math.inf
        self._complained = False

    def due(self, pts_s: float) -> bool:
        """Whether it is time for a look."""
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
        if match is not None and match.share >= _EXPLAINED and far is False:
            self._learner.clear()
            return self.moved
        learned = self._learner.add(luma, pts_s, people)
        if learned is not None:
            self._learned(learned)
        return self.moved

    def observation(self) -> Observation:
        """What is to be said at present: `camera.moved` of the view, with a level while it is moved."""
        moved = self.moved
        if moved is None:
            return Observation("camera.moved", "view", None)
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
        return Observation("camera.moved", "view", LEVEL, measures, confidence=min(1.0, 0.5 + moved.share))

    def _judge(self, match: Match | None, pts_s: float) -> bool | None:
        """Whether a look is far off; the state goes on by it."""
        far = None
        if match is not None and match.shift is not None:
            far = self._yardstick.matters(match.shift, _BACK if self._state.moved else 1.0)
        self._settle(step(self._state, far, pts_s), match if far else None)
        return far

    def _settle(self, state: State, match: Match | None) -> None:
        was, self._state = self._state.moved, state
        if not state.moved:
            self.moved = None
        elif match is not None and match.shift is not None:
            self.moved = Moved(match.shift, self._yardstick.ground_m(match.shift), match.share)
        elif self.moved is None:
            self.moved = Moved(None, None, 0.0)
        if state.moved != was:
            text = MOVED if state.moved else "the camera looks again where it did when it was calibrated"
            _log.warning(text, camera=self._camera_id)

    def _match(self, luma: Plane, pts_s: float) -> Match:
        """By the appearance that was right last, or by another one, in turn: a look may cost little."""
        seek = pts_s - self._sought_s >= _SEEK_S
        first = self._measured(self._best, luma, seek=False)
        if first.shift is not None:
            return first
        if len(self._views) > 1:
            self._turn = (self._turn + 1) % len(self._views)
            if self._turn == self._best:
                self._turn = (self._turn + 1) % len(self._views)
            other = self._measured(self._turn, luma, seek=False)
            if other.shift is not None:
                self._best = self._turn
                return other
        if seek:
            self._sought_s = pts_s
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
        if not self._views:
            self._begin(backdrop)
            return
        matches = [
            self._measured(row, backdrop.grey, seek=True, known=backdrop.known)
            for row in range(len(self._views))
        ]
        best = max(matches, key=lambda match: (match.shift is not None, match.share))
        if best.shift is not None:
            if self._yardstick.matters(best.shift):
                self._settle(State(moved=True), best)
            elif backdrop.asked >= LEAST_TILES and best.share < _EXPLAINED:
                self._add(Appearance(backdrop, best.shift))
        elif (
            backdrop.asked >= _ELSEWHERE_TILES
            and best.share <= _ELSEWHERE_SHARE
            and float(backdrop.known.mean()) >= _ELSEWHERE_KNOWN
        ):
            # A place that stands still, full of edges, and none of them is where it was.
            self._settle(State(moved=True), None)

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
