"""Pictures that wait to be converted until somebody says to which size."""

from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

# Formats whose first plane is 8-bit luma and can be read as it is.
_LUMA_FIRST = frozenset(
    {"gray", "nv12", "nv21", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuvj420p"}
    | {"yuvj411p", "yuvj422p", "yuvj440p", "yuvj444p"}
)
_FULL_RANGE = "JPEG"
_MUCH_SMALLER = 3
_LINES_EACH = 3


class AvPicture:
    """A picture as FFmpeg decoded it.

    Each conversion is one `swscale` step straight to the wanted size (1280x720 to 416x234 takes about 0.7 ms,
    a third of which a detour over full-size BGR would add). The rotation that a container may ask for is
    ignored: zones are drawn on the picture as the camera sends it.
    """

    __slots__ = ("_frame",)

    def __init__(self, frame: av.VideoFrame) -> None:
        self._frame = frame

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._frame.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._frame.height

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled to `width` x `height`: (height, width, 3) uint8, blue first, C-contiguous."""
        return _converted(self._frame, width, height, "bgr24")

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness alone, scaled: (height, width) uint8 as stored in the stream, C-contiguous.

        Where the size is the picture's own and lines have no padding it is a read-only view of the decoder's
        buffer, without any copy. A much smaller one is averaged from about three lines for each of its own:
        1080p to 160x90 takes 0.28 ms, against 0.66 ms by `swscale` and 1.1 ms from all lines; taking single
        pixels (0.05 ms) would keep the noise.
        """
        frame = self._frame
        if frame.format.name not in _LUMA_FIRST or width <= 0 or height <= 0:
            return _converted(frame, width, height, "gray")
        if (width, height) == (frame.width, frame.height):
            return np.ascontiguousarray(_luma_plane(frame))
        if width * _MUCH_SMALLER > frame.width or height * _MUCH_SMALLER > frame.height:
            return _converted(frame, width, height, "gray")
        step = max(1, frame.height // (_LINES_EACH * height))
        # From the middle of each group of lines on, so that nothing shifts.
        lines = _luma_plane(frame)[step // 2 :: step]
        return cast("NDArray[np.uint8]", cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA))


class ArrayPicture:
    """A picture from an array.

    Args:
        bgr: (height, width, 3) uint8, blue first.
    """

    __slots__ = ("_bgr",)

    def __init__(self, bgr: NDArray[np.uint8]) -> None:
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8 or 0 in bgr.shape:
            raise ValueError(f"a picture must be (height, width, 3) uint8, got {bgr.shape} {bgr.dtype}")
        self._bgr = np.ascontiguousarray(bgr)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self._bgr.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self._bgr.shape[0])

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled to `width` x `height`: (height, width, 3) uint8, blue first, C-contiguous."""
        if (width, height) == (self.width, self.height):
            return self._bgr
        return _converted(av.VideoFrame.from_ndarray(self._bgr, format="bgr24"), width, height, "bgr24")

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness alone (ITU-R BT.601), scaled: (height, width) uint8, full range, C-contiguous."""
        return _converted(av.VideoFrame.from_ndarray(self._bgr, format="bgr24"), width, height, "gray")


def _luma_plane(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(height, width) uint8, a read-only view of the decoder's buffer whose lines may be padded."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: frame.height, : frame.width]


def _converted(frame: av.VideoFrame, width: int, height: int, pixel_format: str) -> NDArray[np.uint8]:
    if width <= 0 or height <= 0:
        raise ValueError(f"a picture cannot be {width}x{height}")
    # AREA averages what it shrinks and costs less than BILINEAR in swscale; it is no good for enlarging.
    smaller = width <= frame.width and height <= frame.height
    # Grey is full-range to swscale: without naming one range for both sides it would stretch the stored luma.
    one_range = _FULL_RANGE if pixel_format == "gray" else None
    scaled = frame.reformat(
        width,
        height,
        pixel_format,
        interpolation="AREA" if smaller else "BILINEAR",
        src_color_range=one_range,
        dst_color_range=one_range,
        threads=1,
    )
    return np.ascontiguousarray(cast("NDArray[np.uint8]", scaled.to_ndarray()))
