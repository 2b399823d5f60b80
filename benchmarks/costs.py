"""What a camera costs on this machine, in milliseconds of one core: defaults for all, or your own box's.

    python benchmarks/costs.py [--quick] [--json] [--out FILE]

Every figure is thread CPU time. Written to FILE it is what `sharpeyes plan --costs FILE` reads; without
`--out`, under `benchmarks/results/`. Packets over RTSP are measured where GStreamer's server is installed.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import scenes
from benchmarks.common import RESULTS, machine, parsed, show
from edge.analysis import Analysis
from edge.costs import CostTable, save_table
from edge.load import load_config
from edge.site import Site
from models.detector import Detector
from models.tracker import Tracker
from models.zoo import load_detector
from streams.clock import SystemClock
from streams.decode import DecodedPicture, Decoder
from streams.frame import Picture
from streams.motion import LUMA_SIZE, Motion
from streams.packet import PacketSource
from streams.sim.encode import EncoderOptions
from streams.sim.serve import RtspServer, ServeError
from streams.sim.source import open_sim
from streams.sim.spec import SceneSpec
from streams.source import SourceOptions, open_source
from streams.url import SourceUrl

EXAMPLE = Path(__file__).parents[1] / "deploy" / "sharpeyes.example.yaml"
DETECTORS = ("nanodet-g-416-int8", "nanodet-g-416-fp32")
OVER_RTSP_MS = 0.23
"""What a packet over RTSP costs more than one of a file, where no RTSP server can be had: as measured."""


def cpu_ms(do: Callable[[], object]) -> float:
    """Thread CPU time of a call, in milliseconds."""
    began_s = time.thread_time()
    do()
    return (time.thread_time() - began_s) * 1e3


@contextmanager
def opened(url: str | Path, *, realtime: bool = False) -> Iterator[PacketSource]:
    """A stream, closed afterwards."""
    parsed, options = SourceUrl.parse(str(url)), SourceOptions(realtime=realtime)
    with closing(open_source(parsed, options, clock=SystemClock(), stop=threading.Event())) as source:
        yield source


def demux_ms(url: str, count: int, *, realtime: bool = False) -> float:
    """Milliseconds to read a packet."""
    with opened(url, realtime=realtime) as source:
        packets = source.packets()
        next(packets)
        return cpu_ms(lambda: list(islice(packets, count))) / count


def rtsp_ms(clip: Path, count: int) -> float | None:
    """The same over RTSP, or None where there is no server."""
    try:
        with RtspServer(["--port", "0", f"--mount=clip={clip}"]) as server:
            return demux_ms(f"rtsp://127.0.0.1:{server.port}/clip", count, realtime=True)
    except (ServeError, FileNotFoundError):
        return None


def decode_ms(clip: Path, count: int) -> tuple[float, list[DecodedPicture]]:
    """Milliseconds to decode a picture, and some of the pictures."""
    pictures: list[DecodedPicture] = []
    times: list[float] = []
    with opened(clip) as source:
        decoder = Decoder(source.info, loop_filter=False)
        for packet in islice(source.packets(), count):
            began_s = time.thread_time()
            shown = decoder.decode(packet)
            times.append(time.thread_time() - began_s)
            pictures += shown if len(pictures) < 100 else []
    return statistics.fmean(times) * 1e3, pictures


def keyframe_ms(clip: Path, count: int) -> float:
    """Milliseconds to decode a keyframe alone."""
    with opened(clip) as source:
        decoder = Decoder(source.info, loop_filter=False)
        keyframes = (packet for packet in islice(source.packets(), count) if packet.keyframe)
        return statistics.median(cpu_ms(partial(decoder.keyframe, packet)) for packet in keyframes)


def motion_ms(pictures: list[DecodedPicture]) -> float:
    """Milliseconds to compare a picture with the one before, its scaling included."""
    motion = Motion()

    def look(picture: Picture, pts_s: float) -> None:
        motion.look(picture.luma(*LUMA_SIZE), pts_s)

    return statistics.median(cpu_ms(partial(look, one.picture, k * 0.2)) for k, one in enumerate(pictures))


def look_ms(detector: Detector, pictures: list[DecodedPicture]) -> float:
    """Milliseconds to analyse a picture: scaling, inference, tracking, rules."""
    camera = load_config(EXAMPLE).cameras[0]
    tracker = Tracker(0.35, np.random.default_rng(1))
    analysis = Analysis(camera, Site.from_config(camera), detector.class_names)

    def look(picture: Picture, pts_s: float) -> None:
        analysis.update(tracker.update(detector.detect(picture), pts_s), pts_s)

    return statistics.median(
        [cpu_ms(partial(look, one.picture, k * 0.2)) for k, one in enumerate(pictures)][5:]
    )


def simulated_ms(size: str, count: int) -> float:
    """Milliseconds to make a picture of a simulated camera."""
    source = open_sim(f"sim://plaza?seed=3&size={size}", realtime=False, clock=SystemClock())
    with closing(source):
        packets = source.packets()
        list(islice(packets, 5))
        return cpu_ms(lambda: list(islice(packets, count))) / count


def measure(count: int) -> CostTable:
    """All of it."""
    spec = SceneSpec("quiet", "plaza", 4, (1920, 1080), 25.0, 36.0)
    clip = scenes.clip(spec, encoding=EncoderOptions(spec.size, spec.fps, "file", 19.0, 50)).path
    file_ms = demux_ms(str(clip), count)
    over_rtsp_ms = rtsp_ms(clip, count // 2) or file_ms + OVER_RTSP_MS
    picture_ms, pictures = decode_ms(clip, count)
    alone_ms = keyframe_ms(clip, 900)
    large_ms, small_ms = simulated_ms("1280x720", count // 10), simulated_ms("640x360", count // 10)
    per_mp = (large_ms - small_ms) / ((1280 * 720 - 640 * 360) / 1e6)
    megapixels = 1920 * 1080 / 1e6
    detectors = {name: look_ms(load_detector(name), pictures) for name in DETECTORS}
    codecs = {"h264": 1.0, "other": 1.5}  # the second is not measured: newer codecs take more, we say
    return CostTable(
        machine=machine(),
        demux_ms={
            "file": file_ms, "http": over_rtsp_ms, "rtsp": over_rtsp_ms,
            "sim": max(small_ms - per_mp * 640 * 360 / 1e6, 0.0),
        },
        demux_ms_per_mp={"sim": per_mp},
        decode_ms_per_mp={codec: picture_ms / megapixels * times for codec, times in codecs.items()},
        keyframe_ms_per_mp={codec: alone_ms / megapixels * times for codec, times in codecs.items()},
        motion_ms=motion_ms(pictures),
        look_ms=detectors,
        node_ms_per_s=20.0,
    )  # fmt: skip


def main() -> None:
    """Measure, show and save."""
    out = {"type": Path, "help": "file to write", "default": RESULTS / "costs.json"}
    args = parsed(__doc__, ("--out", out), quick="fewer pictures")
    table = measure(200 if args.quick else 800)
    rows = [
        (name, key, ms)
        for name, values in table.model_dump().items()
        if isinstance(values, dict)
        for key, ms in values.items()
    ]
    show(f"ms on {table.machine}", ("cost", "of", "ms"), [*rows, ("motion_ms", "", table.motion_ms)])
    save_table(table, args.out)
    if args.json:
        print(table.model_dump_json())


if __name__ == "__main__":
    main()
