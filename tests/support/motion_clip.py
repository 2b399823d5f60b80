"""Small clips in which it is known when something moves, encoded in the ways cameras do."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streams.packet import Packet, StreamInfo
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl
from tests.support.rtsp import read_all

SIZE = (320, 192)
FPS = 25
TIME_BASE = Fraction(1, 90_000)

VBR = ("libx264", {"crf": "24", "preset": "veryfast", "bf": "0", "x264-params": "scenecut=0"})
CBR = (
    "libx264",
    {"preset": "veryfast", "bf": "0", "b": "900k", "minrate": "900k", "maxrate": "900k", "bufsize": "90k"}
    | {"x264-params": "scenecut=0:nal-hrd=cbr:rc-lookahead=0"},
)
B_FRAMES = ("libx264", {"crf": "24", "preset": "veryfast", "bf": "2", "x264-params": "scenecut=0:b-adapt=0"})
OPEN_GOP = (
    "libx264",
    {"crf": "24", "preset": "veryfast", "bf": "2", "x264-params": "scenecut=0:b-adapt=0:open-gop=1"},
)
HEVC = (
    "libx265",
    {"crf": "26", "preset": "ultrafast"}
    | {"x265-params": "log-level=none:scenecut=0:bframes=0:open-gop=0:pools=1:frame-threads=1"},
)
HEVC_OPEN_GOP = (
    "libx265",
    {"crf": "26", "preset": "ultrafast"}
    | {"x265-params": "log-level=none:scenecut=0:bframes=2:b-adapt=0:open-gop=1:pools=1:frame-threads=1"},
)


@dataclass(frozen=True)
class MotionClip:
    """Packets of a clip, and the spans of seconds in which something moves."""

    info: StreamInfo
    packets: list[Packet]
    spans: tuple[tuple[float, float], ...]

    def moving(self, pts_s: float, slack_s: float = 0.0) -> bool:
        """Whether something moves then."""
        return any(begin - slack_s <= pts_s <= end + slack_s for begin, end in self.spans)


def write_motion(
    path: Path,
    spans: tuple[tuple[float, float], ...],
    seconds: float,
    coding: tuple[str, dict[str, str]] = VBR,
    *,
    gop: int = 50,
    size: tuple[int, int] = SIZE,
    noise: float = 1.5,
    light: Callable[[float], float] = lambda _: 0.0,
) -> MotionClip:
    """A textured scene with sensor noise, through which a dark block walks during `spans`."""
    codec, options = coding
    width, height = size
    seed = int(hashlib.sha256(str(spans).encode()).hexdigest()[:8], 16)
    rng = np.random.Generator(np.random.PCG64(seed))
    coarse = rng.uniform(80, 180, (height // 8, width // 8))
    scene = np.kron(coarse, np.ones((8, 8)))
    grains = [rng.normal(0.0, noise, (height, width)) for _ in range(7)]
    chroma = np.full((height // 2, width), 128, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = gop
        stream.codec_context.thread_count = 1
        for index in range(round(seconds * FPS)):
            time_s = index / FPS
            luma = scene + grains[index % 7] + light(time_s)
            for begin, end in spans:
                if begin <= time_s <= end:
                    left = int((time_s - begin) * width * 0.15) % (width - 16)
                    luma[height // 3 : height // 3 + 40, left : left + 16] = 30
            yuv = np.vstack((np.clip(luma, 0, 255).astype(np.uint8), chroma))
            frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source(SourceUrl.parse(str(path)), SourceOptions(realtime=False))
    packets = read_all(source)
    begin_s = min(packet.pts_s for packet in packets if packet.pts_s is not None)
    shifted = tuple((begin + begin_s, end + begin_s) for begin, end in spans)
    template = source.info.template
    assert isinstance(template, av.VideoStream)
    # Of the context a decoder takes the parameters only, so one clip serves any number of decoders.
    return MotionClip(StreamInfo(source.info.codec, *size, template.codec_context), packets, shifted)
