"""What else could cover heads, and how much of them each would give away."""

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.redaction_scenes import FPS, SIZE, spec_of
from benchmarks.redaction_seen import pictures
from edge.redact import Pattern
from streams.sim.encode import Encoder, EncoderOptions

Grey = NDArray[np.uint8]
Fill = Callable[[Grey], Grey]

SECONDS, EVERY = 8.0, 5
NOISE = 14.0
_ROOM = 9
"""A head is covered with so many pixels around it, about as redaction does."""


def _mosaic(cell: int, tones: int | None = None) -> Fill:
    """Mean tones of cells, in so many steps where that is told, with noise over them."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, NOISE, SIZE[::-1]).astype(np.float32)

    def fill(luma: Grey) -> Grey:
        height, width = luma.shape
        small = cv2.resize(
            luma, (math.ceil(width / cell), math.ceil(height / cell)), interpolation=cv2.INTER_AREA
        )
        if tones is not None:
            step = 256 // tones
            small = (small // step * step + step // 2).astype(np.uint8)
        large = np.kron(small, np.ones((cell, cell), np.uint8))[:height, :width]
        return np.asarray(np.clip(large + noise, 0, 255), np.uint8)

    return fill


def _pattern() -> Fill:
    luma = Pattern.drawn(*SIZE, np.random.default_rng(1)).luma
    return lambda _: luma


FILLS: dict[str, Fill] = {
    "means of 8 px": _mosaic(8),
    "means of 16 px": _mosaic(16),
    "means of 32 px": _mosaic(32),
    "means of 32 px in 4 tones": _mosaic(32, 4),
    "the pattern": _pattern(),
}


def fills() -> list[dict[str, Any]]:
    """Correlation with what was covered, pooled over a picture's heads and within heads, and the bit rate."""
    spec = spec_of("walk", 0)
    spec = type(spec)(spec.scenario, spec.place, spec.seed, spec.size, FPS, SECONDS, view=spec.view)
    pooled: dict[str, list[float]] = {name: [] for name in FILLS}
    within: dict[str, list[float]] = {name: [] for name in FILLS}
    bits = dict.fromkeys(FILLS, 0)
    encoders = {name: Encoder(EncoderOptions(SIZE, FPS)) for name in FILLS}
    for pts_s, picture, heads in pictures(spec):
        yuv, luma = picture.yuv(*SIZE), picture.luma(*SIZE)
        some = heads >= 0
        covered = cv2.dilate(some.astype(np.uint8), np.ones((2 * _ROOM, 2 * _ROOM), np.uint8))
        for name, fill in FILLS.items():
            out, tones = yuv.copy(), fill(luma)
            cv2.copyTo(tones, covered, out[: SIZE[1]])
            bits[name] += sum(8 * packet.size for packet in encoders[name].encode(out, pts_s))
            pooled[name].append(_correlation(luma[some], tones[some]))
            each = [heads == number for number in np.unique(heads[some])]
            within[name] += [_correlation(luma[one], tones[one]) for one in each if one.sum() >= 24]
    return [
        {
            "fill": name,
            "correlation_pooled": float(np.nanmean(pooled[name])),
            "correlation_within": float(np.nanmean(within[name])),
            "kbit_s": bits[name] / SECONDS / 1e3,
        }
        for name in FILLS
    ]


def _correlation(before: Grey, after: Grey) -> float:
    return float(np.corrcoef(before, after)[0, 1]) if len(before) > 1 and after.std() > 0 else float("nan")
