"""Pictures that wait to be converted until somebody says to which size."""

from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

# Formats whose first plane is 8-bit luma and can be read as it is.
_LUMA_FIRST = frozenset(
    {"gray", "nv12", "nv21", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuvj420p"}
    | {"yuvj411p", "yuvj422p", "yuvj440p", "yuvj444p"}
)
_FULL_RANGE = "JPEG"


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
        buffer, without any copy.
        """
        frame = self._frame
        if (width, height) == (frame.width, frame.height) and frame.format.name in _LUMA_FIRST:
            plane = frame.planes[0]
            lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            return np.ascontiguousarray(lines[:height, :width])
        return _converted(frame, width, height, "gray")


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
