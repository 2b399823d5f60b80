"""Looks at a made-up place, for tests of what is covered."""

import numpy as np

from edge.backdrop import LEARN_S, SHAPE, Backdrop
from edge.looks import UNTRACKED, Look

EMPTY = np.full(SHAPE, 120, np.uint8)
SIZE_PX = (1280, 720)
PERSON = (0.40, 0.30, 0.46, 0.60)
"""Left, top, right, bottom of somebody upright."""


def shown(*boxes: tuple[float, float, float, float], tone: int = 40) -> np.ndarray:
    """The small brightness of a picture with people in it."""
    luma = EMPTY.copy()
    for left, top, right, bottom in boxes:
        luma[round(top * 180) : round(bottom * 180), round(left * 320) : round(right * 320)] = tone
    return luma


def look(
    pts_s: float,
    *boxes: tuple[float, float, float, float],
    luma: np.ndarray | None = None,
    velocity: tuple[float, float] = (np.nan, np.nan),
    score: float = 0.8,
    tracked: bool = False,
) -> Look:
    """A look that found some boxes; numbers of tracks are those of the rows, from 1."""
    n = len(boxes)
    tracks = np.arange(1, n + 1) if tracked else np.full(n, UNTRACKED)
    return Look(
        pts_s,
        shown(*boxes) if luma is None else luma,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(n, score, np.float32),
        np.tile(np.array(velocity, np.float32), (n, 1)),
        tracks.astype(np.int64),
    )


def learned(at_s: float = 0.0) -> Backdrop:
    """The empty place, learned until a time."""
    nobody = np.zeros(SHAPE, bool)
    backdrop = Backdrop.unknown(EMPTY, at_s - LEARN_S - 5.0)
    while backdrop.pts_s < at_s - 0.25:
        backdrop = backdrop.learn(EMPTY, nobody, backdrop.pts_s + 0.5)
    assert backdrop.known.all()
    return backdrop
