"""Redacted pictures as H.264 for viewers: one encoder, every viewer gets the same packets."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge.redactor import RedactedPicture

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

TIME_BASE = Fraction(1, 90_000)
"""Of RTP's video clock."""
KEYFRAME_S = 4.0
"""A keyframe at least so often; besides, whoever begins to watch or has lost something asks for one."""

Outline = NDArray[np.int32]
"""(n, 1, 2) corners in pixels of what is drawn on top."""


class LiveEncoder:
    """Encodes for one camera; another size begins a new stream. For one thread.

    Args:
        fps: pictures a second that are to be expected.
        bitrate_kbps: kilobits a second.
    """

    def __init__(self, fps: float, bitrate_kbps: int) -> None:
        self._fps, self._bitrate_kbps = fps, bitrate_kbps
        self._context: VideoCodecContext | None = None

    def encode(
        self, picture: RedactedPicture, outlines: Sequence[Outline], *, keyframe: bool
    ) -> "list[av.Packet[av.VideoStream]]":
        """Packets of a picture, mostly one, in Annex B with the parameter sets before each keyframe.

        Args:
            picture: what is shown.
            outlines: (n, 1, 2) int32 corners in pixels, each drawn on top, where people are covered already.
            keyframe: whether it is to be decodable on its own.
        """
        context = self._context
        if context is None or (context.width, context.height) != (picture.width, picture.height):
            context = self._context = self._opened(picture)
            keyframe = True
        shown = picture.yuv
        if outlines:
            shown = picture.yuv.copy()
            cv2.polylines(shown[: picture.height], list(outlines), isClosed=True, color=235, thickness=2)
        frame = av.VideoFrame.from_ndarray(np.asarray(shown), format="yuv420p")
        frame.pts, frame.time_base = round(picture.pts_s / TIME_BASE), TIME_BASE
        frame.pict_type = av.video.frame.PictureType.I if keyframe else av.video.frame.PictureType.NONE
        return list(context.encode(frame))

    def _opened(self, picture: RedactedPicture) -> "VideoCodecContext":
        context: VideoCodecContext = av.CodecContext.create("libx264", "w")
        context.width, context.height = picture.width, picture.height
        context.pix_fmt = "yuv420p"
        context.time_base = TIME_BASE
        context.framerate = Fraction(self._fps).limit_denominator(1000)
        context.bit_rate = self._bitrate_kbps * 1000
        context.gop_size = max(1, round(KEYFRAME_S * self._fps))
        context.thread_count = 1
        half_a_second = str(self._bitrate_kbps // 2)
        context.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "maxrate": f"{self._bitrate_kbps}k",
            "bufsize": f"{half_a_second}k",
        }
        context.open()
        return context
