"""A decoded picture on its way through the node, and the three times it carries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Picture(Protocol):
    """A decoded picture that converts itself to what is wanted, in one scaling step, when it is wanted."""

    @property
    def width(self) -> int:
        """Width of the decoded picture in pixels."""
        ...

    @property
    def height(self) -> int:
        """Height of the decoded picture in pixels."""
        ...

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled to `width` x `height`: (height, width, 3) uint8, blue first, C-contiguous."""
        ...

    def crop(self, part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        """A part (left, top, right, bottom, pixels) scaled: (height, width, 3) uint8, blue first."""
        ...

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness alone, scaled to `width` x `height`: (height, width) uint8, C-contiguous."""
        ...

    def yuv(self, width: int, height: int) -> NDArray[np.uint8]:
        """Scaled to an even size, for encoders: (height * 3 / 2, width) uint8, planar YUV 4:2:0."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture of one camera.

    Attributes:
        camera_id: the camera's id in the configuration.
        picture: the pixels, converted lazily.
        pts_s: seconds on the camera's repaired clock, strictly increasing for the life of the reader,
            across reconnections too: use it for speed and dwell.
        seen_mono_s: host monotonic seconds when the camera had it, as far as can be told: when its packet was
            read, less what that was late. Use it for age and deadlines.
        seen_utc: aware UTC wall time of the same moment: a label only, never subtracted.
        keyframe: whether the picture came from a keyframe.
        regions: where it differs from the background: left, top, right, bottom as fractions of the picture,
            largest first, 32 at most; None where that was not measured.
    """

    camera_id: str
    picture: Picture
    pts_s: float
    seen_mono_s: float
    seen_utc: datetime
    keyframe: bool = False
    regions: tuple[tuple[float, float, float, float], ...] | None = None
