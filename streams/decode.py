"""Packets in, pictures out; rubbish in, a counted error out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av

from streams.errors import ReadError
from streams.packet import Packet, StreamInfo
from streams.picture import AvPicture

# Half a minute of video: cameras with a "smart" codec put keyframes up to that far apart.
_MAX_SKIPPED = 750
_MAX_BARREN = 1500


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """One picture from the decoder.

    Attributes:
        picture: the pixels, converted lazily.
        pts_s: presentation time in seconds on the source's clock; None where it gave none.
        keyframe: whether it can be decoded on its own.
    """

    picture: AvPicture
    pts_s: float | None
    keyframe: bool


class Decoder:
    """Decodes one stream. A change of size needs nothing: the pictures just change. For one thread.

    After a packet that cannot be decoded it drops what follows up to the next keyframe, because pictures
    that refer to a lost one are grey smears in which detectors see things; if no keyframe is marked for
    half a minute it goes on regardless.

    Attributes:
        errors: packets that could not be decoded.
        skipped: packets dropped between such a packet and the next keyframe.

    Args:
        info: what the source says of its stream.
        threads: decoding threads. With more than one, slices are decoded in parallel: threads by frame would
            delay each picture by one more frame per thread.

    Raises:
        ReadError: no decoder for the codec.
    """

    def __init__(self, info: StreamInfo, threads: int = 1) -> None:
        self.errors = 0
        self.skipped = 0
        self._context = _context(info)
        self._context.thread_count = threads
        self._context.thread_type = "SLICE"
        self._awaiting_keyframe = False
        self._skipped_in_row = 0
        self._barren = 0
        self._time_base: Fraction | None = None

    def decode(self, packet: Packet) -> list[DecodedPicture]:
        """Pictures that this packet completes: none, one, or more.

        Raises:
            ReadError: nothing decodable for about a minute of video, as when a camera changed its codec
                behind an open connection: opening it again is the cure.
        """
        if packet.size == 0:  # an empty packet would tell the decoder that the stream ends
            return []
        if self._awaiting_keyframe and not self._may_resume(packet):
            self.skipped += 1
            pictures: list[DecodedPicture] = []
        else:
            pictures = self._decode(packet.payload)
        self._barren = 0 if pictures else self._barren + 1
        if self._barren >= _MAX_BARREN:
            self._barren = 0
            raise ReadError(f"no picture in {_MAX_BARREN} packets of {self._context.name}: not decodable")
        return pictures

    def flush(self) -> list[DecodedPicture]:
        """Pictures still held back at the end of a stream; afterwards the decoder can start anew."""
        pictures = self._decode(None)
        self._context.flush_buffers()
        return pictures

    def _may_resume(self, packet: Packet) -> bool:
        self._skipped_in_row += 1
        if packet.keyframe or self._skipped_in_row > _MAX_SKIPPED:
            self._awaiting_keyframe = False
            self._skipped_in_row = 0
        return not self._awaiting_keyframe

    def _decode(self, payload: av.Packet[av.VideoStream] | None) -> list[DecodedPicture]:
        try:
            frames = self._context.decode(payload)
        except av.FFmpegError:
            self.errors += 1
            self._awaiting_keyframe = True
            self._context.flush_buffers()
            return []
        if payload is not None:
            self._time_base = payload.time_base
        return [self._picture(frame) for frame in frames if frame.width and frame.height]

    def _picture(self, frame: av.VideoFrame) -> DecodedPicture:
        # Frames take their time base from the packet that pushed them out; those of a flush have none.
        time_base = frame.time_base or self._time_base
        pts_s = float(frame.pts * time_base) if frame.pts is not None and time_base else None
        return DecodedPicture(AvPicture(frame), pts_s, frame.key_frame)


def _context(info: StreamInfo) -> av.VideoCodecContext:
    template = info.template
    if isinstance(template, av.VideoStream) and template.codec_context is not None:
        return template.codec_context
    try:
        context = av.CodecContext.create(info.codec, "r")
    except (av.FFmpegError, ValueError):
        raise ReadError(f"this build of FFmpeg cannot decode {info.codec!r}") from None
    if not isinstance(context, av.VideoCodecContext):
        raise ReadError(f"{info.codec!r} is not a video codec")
    if template is not None and getattr(template, "extradata", None):
        context.extradata = template.extradata
    return context
