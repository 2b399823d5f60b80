"""What a source yields: encoded packets. Kept apart from decoding, so that a gate can stand between."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import av


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture, as it came off the wire, the file or the simulator.

    Attributes:
        pts_s: presentation time in seconds on the source's own clock; None where it gave none.
        size: encoded bytes.
        keyframe: whether decoding can start here.
        payload: the packet for a decoder.
    """

    pts_s: float | None
    size: int
    keyframe: bool
    payload: "av.Packet[av.VideoStream]"

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size must not be negative, got {self.size}")


@dataclass(frozen=True, slots=True, eq=False)
class StreamInfo:
    """What a source says of its stream when it opens.

    Attributes:
        codec: FFmpeg's name of the codec, such as `h264`.
        width, height: size of the picture in pixels; 0 where only decoding will tell.
        template: what a decoder takes its parameters (extradata) from; None where they travel in-band.
        duration_s: how long it lasts; None where it has no end, or does not say.
    """

    codec: str
    width: int
    height: int
    template: av.VideoStream | av.CodecContext | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise ValueError(f"size must not be negative, got {self.width}x{self.height}")

    def detached(self) -> Self:
        """The same without the open stream behind it, to decode with when that is long closed."""
        template = self.template
        context = template.codec_context if isinstance(template, av.VideoStream) else template
        extradata = getattr(context, "extradata", None)
        if extradata is None:
            return replace(self, template=None)
        own = av.CodecContext.create(self.codec, "r")
        own.extradata = bytes(extradata)
        return replace(self, template=own)


class PacketSource(Protocol):
    """Where packets come from. It only fails; a supervisor retries."""

    @property
    def info(self) -> StreamInfo:
        """Codec and size as announced on opening."""
        ...

    @property
    def begun_s(self) -> float | None:
        """Host monotonic seconds of time zero of a recording that plays in real time; else None."""
        ...

    def packets(self) -> Iterator[Packet]:
        """Packets in decoding order.

        Raises:
            ReadError: the stream broke or went silent.
            StreamEndedError: it ended of its own accord.
        """
        ...

    def close(self) -> None:
        """Free the stream; safe to call twice and from another thread."""
        ...
