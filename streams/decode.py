"""Packets in, pictures out; rubbish in, a counted error out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av

from streams.errors import ReadError
from streams.hardware import OFF, SOFTWARE, Accelerated, accelerated, given_up
from streams.packet import Packet, StreamInfo
from streams.picture import AvPicture

# Half a minute of video: cameras with a "smart" codec put keyframes up to that far apart.
_MAX_SKIPPED = 750
_MAX_BARREN = 1500
MAX_PIXELS = 8192 * 4352
"""Of a picture: 8K. A few bytes can announce more than that, of which a decoder would hold sixteen."""

_Payload: TypeAlias = "av.Packet[av.VideoStream] | None"


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
        leading: pictures left out after a start in the middle of a stream with open GOPs: they come after
            the keyframe but are shown before it, and refer to pictures that were never decoded.
        continuous: whether `decode` may go on with the packet after the last one.
        device: what decodes: `software`, or a kind of device such as `cuda`. A device that turns out not to
            manage the stream is left for software, without losing a keyframe.

    Args:
        info: what the source says of its stream.
        threads: decoding threads in software. With more than one, slices are decoded in parallel: threads by
            frame would delay each picture by one more frame per thread.
        loop_filter: whether edges of blocks are smoothed as the codec asks. Without, H.264 of 1080p takes 26
            to 36 % less time, pictures differ by 0.4 to 0.9 grey levels, and a detector finds 98.3 to 100 %
            of what it found, with the same scores on balance (0.00 +- 0.03). A device does as it likes.
        hardware: `off`, `auto`, or a kind of device to decode on where that is possible.
        accelerate: opens a decoder on a device.

    Raises:
        ReadError: no decoder for the codec.
    """

    def __init__(
        self,
        info: StreamInfo,
        threads: int = 1,
        *,
        loop_filter: bool = True,
        hardware: str = OFF,
        accelerate: Callable[[str, str], Accelerated | None] = accelerated,
    ) -> None:
        self.errors = 0
        self.skipped = 0
        self.leading = 0
        self.continuous = False
        self._software = self._context = _context(info)
        self._threads, self._loop_filter = threads, loop_filter
        self._accelerated = accelerate(info.codec, hardware)
        if self._accelerated is not None:
            self._context = self._accelerated.context
            self._context.extradata = self._software.extradata
        self.device = SOFTWARE if self._accelerated is None else self._accelerated.device
        self._prepare()
        self._awaiting_keyframe = False
        self._skipped_in_row = 0
        self._barren = 0
        self._time_base: Fraction | None = None
        self._restarted = False
        self._start_s: float | None = None

    def decode(self, packet: Packet) -> list[DecodedPicture]:
        """Pictures that this packet completes: none, one, or more.

        Raises:
            ReadError: nothing decodable for about a minute of video, as when a camera changed its codec
                behind an open connection: opening it again is the cure.
        """
        if packet.size == 0:  # an empty packet would tell the decoder that the stream ends
            return []
        if self._restarted and packet.keyframe:
            self._restarted, self._start_s = False, packet.pts_s
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
        self.restart()
        return pictures

    def restart(self) -> None:
        """Packets were left out: forget what came before; a keyframe must come next."""
        self._context.flush_buffers()
        self.continuous = False
        self._restarted = self._awaiting_keyframe = True

    def keyframe(self, packet: Packet) -> list[DecodedPicture]:
        """The picture of a keyframe, at once and without what came before; empty if it does not show alone.

        A decoder that reorders pictures would hold it back for those to come, so it is told that the stream
        ends. Then it has nothing left to go on from (`continuous` is False): to catch up, feed the keyframe
        again.

        Raises:
            ReadError: as `decode`.
        """
        self.restart()
        pictures = self.decode(packet) or self.flush()
        if pictures:
            self._barren = 0
        return pictures

    def prefer_references(self, only: bool) -> None:
        """Decode only pictures that others refer to; saves time where few are wanted. Takes effect at once.

        Args:
            only: False decodes everything again.
        """
        self._context.skip_frame = "NONREF" if only else "DEFAULT"

    def _prepare(self) -> None:
        self._context.thread_count = self._threads
        self._context.thread_type = "SLICE"
        if not self._context.is_open:
            self._context.options = {"max_pixels": str(MAX_PIXELS)}
            if not self._loop_filter:
                self._context.options["skip_loop_filter"] = "all"

    def _may_resume(self, packet: Packet) -> bool:
        self._skipped_in_row += 1
        if packet.keyframe or self._skipped_in_row > _MAX_SKIPPED:
            self._awaiting_keyframe = False
            self._skipped_in_row = 0
        return not self._awaiting_keyframe

    def _decode(self, payload: _Payload) -> list[DecodedPicture]:
        try:
            frames = self._context.decode(payload)
        except av.FFmpegError:
            if self._left_device(payload, failed=True):
                return self._again(payload)
            self.errors += 1
            self.restart()
            return []
        if self._left_device(payload, shown=len(frames)):
            return self._again(payload)
        if payload is not None:
            self._time_base = payload.time_base
            self.continuous = True
        pictures = [self._picture(frame) for frame in frames if frame.width and frame.height]
        return self._shown(pictures) if self._start_s is not None else pictures

    def _left_device(self, payload: _Payload, *, shown: int = 0, failed: bool = False) -> bool:
        """Whether the device was just left because it does not manage the stream."""
        device = self._accelerated
        if device is None:
            return False
        if shown and device.bypassed:  # the same context goes on
            self._in_software(device, "FFmpeg found the stream beyond it")
        elif reason := device.doubt(
            shown, failed=failed, keyframe=payload is not None and payload.is_keyframe
        ):
            self._in_software(device, reason)
            self._software.skip_frame = self._context.skip_frame
            self._context = self._software
            self._prepare()
            return True
        return False

    def _in_software(self, device: Accelerated, why: str) -> None:
        given_up(device.device, self._context.name, why)
        self._accelerated, self.device = None, SOFTWARE

    def _again(self, payload: _Payload) -> list[DecodedPicture]:
        """In software, what the device could not do: it begins with a keyframe, maybe this one."""
        if payload is not None and payload.is_keyframe:
            return self._decode(payload)
        self.errors += 1
        self.restart()
        return []

    def _shown(self, pictures: list[DecodedPicture]) -> list[DecodedPicture]:
        """All but leading pictures, up to the keyframe that decoding started with."""
        for index, picture in enumerate(pictures):
            if picture.pts_s is None or self._start_s is None or picture.pts_s >= self._start_s:
                self._start_s = None
                return pictures[index:]
            self.leading += 1
        return []

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
