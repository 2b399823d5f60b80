"""What a small picture says of the camera that took it: light, sharpness, what is hidden or stands still."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streams.reference import Bands, Reference
from streams.renewal import Renewal, Standstill
from streams.tiles import LUMA_SIZE

Plane = NDArray[np.uint8]

_LOOKS = 4
"""Looks before there is a reference."""
_EVERY_S = 4.0
"""Seconds for which a reference serves before it is made anew of what has been learned meanwhile."""
_MEMORY_S = 60.0
"""Time constant of the reference."""
_MAX_STEP_S = 5.0
_DARKEST, _BRIGHTEST = 0.005, 0.001
"""Shares of the darkest and of the brightest pixels that the span leaves out. A lamp may be small."""
_DIM = 60.0
"""Mean grey level below which what is laid over a picture, such as a clock, may be the brightest in it."""
_OVERLAID = 0.15
"""Share of the tiles that is laid over, at most."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One look.

    Attributes:
        brightest: grey level, 0 to 255, that one pixel of 1000 exceeds; of a dim picture without overlays.
        bulk: grey level, 0 to 255, that one pixel of five exceeds.
        span: grey levels, 0 to 255, from the darkest, one pixel of 200 left out, to that.
        noise: deviation in grey levels where the picture is plainest.
        usual_span: grey levels, 0 to 255, that the span usually has; None without a reference.
        gone: share of the reference's tiles, 0 to 1, where nothing of it nor anything else sharp is seen;
            None where there is nothing to compare with.
        unsharp: share where what is seen is the reference, but without its fine detail; None likewise.
        sharpness: fine detail of what is seen of the reference, as a ratio to it; None where nothing is.
        layout: correlation, -1 to 1, of light and dark with the reference's; a share of 0 without one.
        standstill: how much of it is not renewed; None where that cannot be told.
    """

    brightest: float
    bulk: float
    span: float
    noise: float
    usual_span: float | None = None
    gone: float | None = None
    unsharp: float | None = None
    sharpness: float | None = None
    layout: float = 0.0
    standstill: Standstill | None = None


class QualityMeter:
    """Measures one camera's looks against what it usually shows. No clock of its own; for one thread.

    Args:
        still_s: seconds without renewal that tell a frozen picture.
        dull_below: sharpness, a ratio to the usual, 0 to 1, below which a tile counts as unsharp.
    """

    def __init__(self, still_s: float, dull_below: float) -> None:
        self._dull_below = dull_below
        self._renewal = Renewal(still_s)
        self._mean: NDArray[np.float32] | None = None
        self._looks = 0
        self._learned_s = self._made_s = -math.inf
        self._reference: Reference | None = None

    def measure(self, luma: Plane, pts_s: float) -> Quality:
        """What a look shows; about 1 ms. Nothing is learned for the reference.

        Args:
            luma: (height, width) uint8 of the whole picture, best `LUMA_SIZE`.
            pts_s: camera time.
        """
        luma = _fitted(luma)
        now = Bands.of(luma)
        # The plainest tenth of it; of white noise the Laplacian has 20 times the power.
        noise = math.sqrt(float(np.sort(now.fine_power, axis=None)[now.fine_power.size // 10]) / 20.0)
        standstill = self._renewal.look(luma, pts_s)
        reference = self._made(pts_s)
        darkest, bulk, brightest = _levels(luma, _free(now, reference))
        if reference is None:
            return Quality(brightest, bulk, brightest - darkest, noise, standstill=standstill)
        low, _, high = _levels(np.asarray(np.clip(reference.luma, 0, 255), np.uint8))
        if not reference.worth:
            return Quality(brightest, bulk, brightest - darkest, noise, high - low, standstill=standstill)
        likeness = reference.compare(now, self._dull_below)
        seen = likeness.sharpness[likeness.there]
        return Quality(
            brightest,
            bulk,
            brightest - darkest,
            noise,
            high - low,
            likeness.share(likeness.dull & ~likeness.there),
            likeness.share(likeness.dull & likeness.there),
            float(np.median(seen)) if seen.size else None,
            likeness.layout,
            standstill,
        )

    def learn(self, luma: Plane, pts_s: float) -> None:
        """Take a look that is as it should be into the reference, which follows over a minute.

        Args:
            luma: (height, width) uint8, as measured.
            pts_s: camera time.
        """
        luma = _fitted(luma)
        self._looks += 1
        if self._mean is None:
            self._mean = luma.astype(np.float32)
        else:
            step_s = min(max(pts_s - self._learned_s, 0.0), _MAX_STEP_S)
            # At first the mean of all looks, so that who was there at the first one fades.
            share = max(1.0 / self._looks, -math.expm1(-step_s / _MEMORY_S))
            cv2.accumulateWeighted(luma, self._mean, share)
        self._learned_s = pts_s

    def forget(self) -> None:
        """The place looks otherwise from now on: what is learned next is the reference."""
        self._mean, self._reference, self._looks = None, None, 0

    def _made(self, pts_s: float) -> Reference | None:
        if self._mean is None or self._looks < _LOOKS:
            return None
        stale = not 0.0 <= pts_s - self._made_s < _EVERY_S and self._made_s < self._learned_s
        if self._reference is None or stale:
            self._reference, self._made_s = Reference(self._mean.copy()), pts_s
        return self._reference


def _fitted(luma: Plane) -> Plane:
    if luma.shape == LUMA_SIZE[::-1]:
        return luma
    return np.asarray(cv2.resize(luma, LUMA_SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def _free(now: Bands, reference: Reference | None) -> NDArray[np.uint8] | None:
    """Where a dim picture is not laid over with a clock or a name, which stay bright; None for everywhere."""
    if reference is None or not float(now.mean.mean()) <= _DIM < float(reference.bands.mean.mean()):
        return None
    overlaid = reference.kept(now).astype(np.uint8)
    if not 0 < np.count_nonzero(overlaid) <= _OVERLAID * overlaid.size:
        return None
    # Digits that run are beside those that stand.
    beside = cv2.dilate(overlaid, np.ones((1, 5), np.uint8))
    return np.asarray(cv2.resize(1 - beside, LUMA_SIZE, interpolation=cv2.INTER_NEAREST), np.uint8)


def _levels(luma: Plane, where: NDArray[np.uint8] | None = None) -> tuple[float, float, float]:
    """Grey levels below which few pixels lie, above which a fifth of them does, and few."""
    levels = np.cumsum(cv2.calcHist([luma], [0], where, [256], [0, 256]).ravel())
    return (
        float(np.searchsorted(levels, _DARKEST * levels[-1], side="right")),
        float(np.searchsorted(levels, 0.8 * levels[-1])),
        float(np.searchsorted(levels, (1.0 - _BRIGHTEST) * levels[-1])),
    )
