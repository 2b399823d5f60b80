"""Pictures that wait to be converted until somebody says to which size."""

from typing import cast

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

# Formats whose first plane is 8-bit luma and can be read as it is.
_LUMA_FIRST = frozenset(
    {"gray", "nv12", "nv21", "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuvj420p"}
    | {"yuvj411p", "yuvj422p", "yuvj440p", "yuvj444p"}
)
# What devices decode ten bits and more into: 16 bits of luma, whose upper byte is the luma of 8 bits.
# `swscale` gets the last columns wrong when it turns them into grey and the width is no multiple of eight.
_LUMA_IN_UPPER_BYTE = frozenset({"p010le", "p012le", "p016le", "p210le", "p212le", "p216le"})
_FULL_RANGE = "JPEG"
# Bytes that two pixels take in each plane, and by how much it is lower than the picture.
_YUV420, _YUV422 = ((2, 1), (1, 2), (1, 2)), ((2, 1), (1, 1), (1, 1))
_YUV444 = ((2, 1),) * 3
_PLANES = {
    "gray": ((2, 1),),
    "nv12": ((2, 1), (2, 2)),
    "p010le": ((4, 1), (4, 2)),
    "yuv420p10le": ((4, 1), (2, 2), (2, 2)),
    "yuv420p": _YUV420,
    "yuvj420p": _YUV420,
    "yuv422p": _YUV422,
    "yuvj422p": _YUV422,
    "yuv444p": _YUV444,
    "yuvj444p": _YUV444,
}
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

    def crop(self, part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        """A part (left, top, right, bottom, pixels) scaled: (height, width, 3) uint8, blue first.

        It is widened to even pixels, since chroma has half the lines and columns, copied, and then scaled in
        one `swscale` step: 640x640 to 224x224 takes about 0.4 ms, of which a third is the copy.
        Raises ValueError for a part that does not lie in the picture.
        """
        frame = self._frame
        left, top, right, bottom = _checked(part, frame.width, frame.height)
        if (left, top, right, bottom) == (0, 0, frame.width, frame.height):
            return self.bgr(width, height)
        if frame.format.name not in _PLANES:
            return ArrayPicture(self.bgr(frame.width, frame.height)).crop(part, width, height)
        cut = av.VideoFrame(right - left, bottom - top, frame.format.name)
        cut.colorspace, cut.color_range = frame.colorspace, frame.color_range
        shapes = _PLANES[frame.format.name]
        for source, target, (pair, lower) in zip(frame.planes, cut.planes, shapes, strict=True):
            lines, space = _lines(source)[top // lower :, left // 2 * pair :], _lines(target)
            rows, columns = -(-(bottom - top) // lower), min(space.shape[1], lines.shape[1])
            space[:rows, :columns] = lines[:rows, :columns]
        return _converted(cut, width, height, "bgr24")

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness alone, scaled: (height, width) uint8 as stored in the stream, C-contiguous.

        Where the size is the picture's own and lines have no padding it is a read-only view of the decoder's
        buffer, without any copy. A much smaller one is averaged from about three lines for each of its own:
        1080p to 160x90 takes 0.28 ms, against 0.66 ms by `swscale` and 1.1 ms from all lines; taking single
        pixels (0.05 ms) would keep the noise.
        """
        frame = self._frame
        if not _luma_readable(frame) or width <= 0 or height <= 0:
            return _converted(frame, width, height, "gray")
        if (width, height) == (frame.width, frame.height):
            return np.ascontiguousarray(_luma_plane(frame))
        if width * _MUCH_SMALLER > frame.width or height * _MUCH_SMALLER > frame.height:
            return _converted(frame, width, height, "gray")
        step = max(1, frame.height // (_LINES_EACH * height))
        # From the middle of each group of lines on, so that nothing shifts.
        lines = _luma_plane(frame)[step // 2 :: step]
        return cast("NDArray[np.uint8]", cv2.resize(lines, (width, height), interpolation=cv2.INTER_AREA))

    def yuv(self, width: int, height: int) -> NDArray[np.uint8]:
        """The picture scaled to even `width` x `height`, as encoders take it: planar YUV 4:2:0, video range.

        (height * 3 / 2, width) uint8, C-contiguous, a copy that belongs to the caller: at the picture's own
        size the one that takes it out of the decoder's buffer. Raises ValueError for an odd size.
        """
        if width % 2 or height % 2:
            raise ValueError(f"4:2:0 needs an even size, got {width}x{height}")
        return _converted(self._frame, width, height, "yuv420p")


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

    def crop(self, part: tuple[int, int, int, int], width: int, height: int) -> NDArray[np.uint8]:
        """As `AvPicture.crop`."""
        left, top, right, bottom = _checked(part, self.width, self.height)
        return ArrayPicture(self._bgr[top:bottom, left:right]).bgr(width, height)

    def luma(self, width: int, height: int) -> NDArray[np.uint8]:
        """Brightness alone (ITU-R BT.601), scaled: (height, width) uint8, full range, C-contiguous."""
        return _converted(av.VideoFrame.from_ndarray(self._bgr, format="bgr24"), width, height, "gray")

    def yuv(self, width: int, height: int) -> NDArray[np.uint8]:
        """As `AvPicture.yuv`."""
        return AvPicture(av.VideoFrame.from_ndarray(self._bgr, format="bgr24")).yuv(width, height)


def _checked(part: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = part
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"the part {part} does not lie in a picture of {width}x{height}")
    return left // 2 * 2, top // 2 * 2, min(right + right % 2, width), min(bottom + bottom % 2, height)


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    """(lines, bytes) uint8, a view of the buffer, padding included."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)


def _luma_readable(frame: av.VideoFrame) -> bool:
    return frame.format.name in _LUMA_FIRST or frame.format.name in _LUMA_IN_UPPER_BYTE


def _luma_plane(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(height, width) uint8, a read-only view of the decoder's buffer whose lines may be padded."""
    lines = _lines(frame.planes[0])[: frame.height]
    return (
        lines[:, 1 : 2 * frame.width : 2]
        if frame.format.name in _LUMA_IN_UPPER_BYTE
        else lines[:, : frame.width]
    )


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
