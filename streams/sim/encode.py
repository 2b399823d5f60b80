"""H.264 as cameras make it: variable bit rate, no B-frames, parameter sets with every keyframe."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

TIME_BASE = Fraction(1, 90_000)
"""The clock of RTP video."""
LONGEST_GOP_S = 4.0
"""Seconds from keyframe to keyframe at most: cameras that are set to fewer pictures keep to about this."""


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How to encode.

    Attributes:
        size: width and height in pixels, even.
        fps: nominal pictures a second.
        effort: `live` takes least time and no delay; `file` takes more time for fewer bits.
        crf: x264's constant quality in its own units, 0 (lossless) to 51; the bit rate follows what moves.
        gop: pictures from keyframe to keyframe, if these are not more than `LONGEST_GOP_S` apart then.
        max_kbit_s: bound of the bit rate, over about a second; None for none.
    """

    size: tuple[int, int]
    fps: float
    effort: Literal["live", "file"] = "live"
    crf: float = 27.0
    gop: int = 50
    max_kbit_s: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf must be 0 to 51, got {self.crf}")
        if self.gop < 1:
            raise ValueError(f"gop must be at least 1, got {self.gop}")
        if self.max_kbit_s is not None and self.max_kbit_s < 1:
            raise ValueError(f"max_kbit_s must be at least 1, got {self.max_kbit_s}")

    @property
    def settings(self) -> dict[str, str]:
        """FFmpeg's options for libx264. One thread: the same input gives the same bytes."""
        settings = {
            "preset": "ultrafast" if self.effort == "live" else "veryfast",
            "crf": f"{self.crf:g}",
            "x264-params": "scenecut=0:threads=1:sliced-threads=0:repeat-headers=1:annexb=1",
        }
        if self.effort == "live":
            settings["tune"] = "zerolatency"
        if self.max_kbit_s is not None:
            settings["maxrate"] = settings["bufsize"] = f"{self.max_kbit_s}k"
        return settings


def configure(context: av.VideoCodecContext, options: EncoderOptions) -> None:
    """Set a libx264 context, one of its own or a file's stream's, up as `options` say."""
    context.width, context.height = options.size
    context.pix_fmt = "yuv420p"
    context.framerate = Fraction(options.fps).limit_denominator(1001)
    context.time_base = TIME_BASE
    context.gop_size = min(options.gop, max(1, round(LONGEST_GOP_S * options.fps)))
    context.max_b_frames = 0
    context.thread_count = 1
    context.options = options.settings


def video_frame(yuv: NDArray[np.uint8], pts_s: float) -> av.VideoFrame:
    """(height * 3 / 2, width) uint8 planar Y, U, V as a frame at `pts_s` seconds."""
    frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
    frame.pts = round(pts_s / TIME_BASE)
    frame.time_base = TIME_BASE
    return frame


def carried(
    packet: "av.Packet[av.VideoStream]", carry: Callable[[bytes], bytes | None]
) -> "av.Packet[av.VideoStream] | None":
    """The packet as a network delivers it that makes so much of its bytes; None if it got lost."""
    sent = bytes(packet)
    arrived = carry(sent)
    if arrived is None or arrived is sent:
        return None if arrived is None else packet
    other = cast("av.Packet[av.VideoStream]", av.Packet(arrived))
    other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
    other.duration, other.is_keyframe = packet.duration, packet.is_keyframe
    if packet.stream is not None:
        other.stream = packet.stream
    return other


class Encoder:
    """Turns pictures into packets in Annex B format that a bare H.264 decoder understands."""

    def __init__(self, options: EncoderOptions) -> None:
        self._context = av.CodecContext.create("libx264", "w")
        configure(self._context, options)

    def encode(self, yuv: NDArray[np.uint8], pts_s: float) -> "list[av.Packet[av.VideoStream]]":
        """Encode a (height * 3 / 2, width) uint8 picture of time `pts_s`, later than the one before.

        Returns:
            The packets that are ready; with `live` effort exactly one.
        """
        return list(self._context.encode(video_frame(yuv, pts_s)))

    def finish(self) -> "list[av.Packet[av.VideoStream]]":
        """The packets still under way; nothing can be encoded after."""
        return list(self._context.encode(None))
