"""Colours: told apart by those who do not see red and green as different, and by lightness alone."""

from collections.abc import Mapping

import cv2
import numpy as np

PAPER, INK, QUIET, EDGE, GRID = "#ffffff", "#17212b", "#5d6b78", "#c3ccd4", "#e8ecef"
SEEN = "#f1f4f6"
"""Ground that the camera sees."""
COUNT, WORST, MEAN = "#0b6b7a", "#5b2a86", "#6f7d89"
RING = "#00b3c6"
"""Marks on the density map, far in hue from all of its colours."""

LEVELS: Mapping[int, str] = {1: "#c62828", 2: "#c2570a", 3: "#f2c200", 4: "#1f6fd0"}
"""As on the status page. Red and orange are also told by their dashes, their height and their number."""
ON_LEVEL: Mapping[int, str] = {1: "#ffffff", 2: "#ffffff", 3: "#2b2200", 4: "#ffffff"}
"""What is written on them."""
DASHES: Mapping[int, tuple[float, ...]] = {1: (), 2: (11, 4), 3: (6, 4), 4: (2, 3)}

_DARKEST = 0.9
"""The last tenth of the scale is black on black: outlines could not be seen on it."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of `#rrggbb`, 0 to 255 each.

    >>> rgb("#0b6b7a")
    (11, 107, 122)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def density_colours(steps: int) -> tuple[str, ...]:
    """So many colours from light (few people) to dark: matplotlib's magma, reversed, even in lightness."""
    levels = np.linspace(255, 255 * (1 - _DARKEST), steps).round().astype(np.uint8)
    table = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_MAGMA)[:, 0]
    return tuple(f"#{red:02x}{green:02x}{blue:02x}" for blue, green, red in table.tolist())
