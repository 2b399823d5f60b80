"""Hours of a camera out of one rendered visit: groups of pictures, arranged anew without encoding again.

A rendered clip shows an empty place, one visit, and the empty place again. Its groups of pictures are closed,
so they can follow each other in any order: the visit whole and in its own order, the empty groups as often as
the wanted share of activity asks for. What is true of the clip is arranged with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av

from benchmarks import scenes
from benchmarks.common import CACHE
from streams.sim.clip import Progress
from streams.sim.encode import EncoderOptions, configure
from streams.sim.spec import SceneSpec
from streams.sim.truth import Truth

SIZE, FPS, GOP = (1920, 1080), 25.0, 50
GOP_S = GOP / FPS
CLIP_S = 36.0
CRF = 19.0
"""Fine enough that the sensor's noise is coded, as cameras do: an empty 1080p25 scene is about 2 Mbit/s then.
At x264's usual 24 it would vanish, an empty picture would be 100 bytes and its decoding nearly free."""
CBR_KBIT_S = 4000
MEDIA_CRF = 23.0
KEPT_BYTES = 12 * 10**9
MAX_FILE_S = 600.0
"""No arranged file is longer: a camera that reaches its end is opened again, as after an outage."""
SCENES = (("plaza", 4), ("gate", 4), ("plaza", 2), ("gate", 5))
"""Place and seed: an intrusion, a crossing, a crossing, an intrusion. Who looks at all finds all of them."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A true event in an arranged file: seconds of the file's time.

    Attributes:
        whole: whether the file shows all of the visit; a piece of one is nobody's fault.
    """

    kind: str
    zone: str
    begin_s: float
    end_s: float
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Footage:
    """What one camera shows: its file, what happens there, and when anybody is there at all."""

    clip: scenes.Clip
    path: Path
    happenings: tuple[Happening, ...]
    active: tuple[tuple[float, float], ...]


def loop_of(busy: Sequence[bool], share: float) -> list[int]:
    """Which groups make a loop in which `share` of the time is busy.

    The busy groups, from the first to the last, come once and in order; the idle ones take turns around them,
    those before the visit first.

    Args:
        busy: of each group of the clip; at least one must be, and one not.
        share: above 0 and up to 1; 0 for a loop of idle groups alone.

    >>> loop_of([False, True, True, False], 0.5)
    [1, 2, 3, 0]
    """
    idle = [k for k, one in enumerate(busy) if not one]
    if share == 0:
        return idle
    if not (0 < share <= 1 and any(busy) and idle):
        raise ValueError(f"needs busy and idle groups and a share of 0 to 1, got {share}")
    first, last = busy.index(True), len(busy) - 1 - list(reversed(busy)).index(True)
    visit = list(range(first, last + 1))
    around = idle[idle.index(last + 1) :] + idle[: idle.index(last + 1)] if last + 1 in idle else idle
    wanted = round(len(visit) / share) - len(visit)
    return visit + [around[k % len(around)] for k in range(wanted)]


def sequence(loop: Sequence[int], phase: float, seconds: float) -> list[int]:
    """The groups of a file of at least `seconds`: the loop again and again, begun at `phase` of it (0 to 1).

    >>> sequence([4, 5, 6], 0.4, 8.0)
    [5, 6, 4, 5]
    """
    begin = int(phase * len(loop)) % len(loop)
    return [loop[(begin + k) % len(loop)] for k in range(math.ceil(seconds / GOP_S))]


def happenings(truth: Truth, groups: Sequence[int], loop: Sequence[int]) -> list[Happening]:
    """What is true of a file made of these groups.

    An event belongs to a run of groups that follow each other as in the clip; where the run begins or ends
    within the visit, it is not whole.
    """
    visit = _visit(truth, loop)
    found = []
    for begin, end in _runs(groups, visit):
        shift_s = (begin - groups[begin]) * GOP_S
        whole = groups[begin] == visit[0] and groups[end - 1] == visit[-1]
        for event in truth.events:
            first_s, last_s = groups[begin] * GOP_S, (groups[end - 1] + 1) * GOP_S
            if event.begin_s < last_s and event.end_s >= first_s:
                begin_s, end_s = max(event.begin_s, first_s), min(event.end_s, last_s)
                found.append(Happening(event.kind, event.zone, begin_s + shift_s, end_s + shift_s, whole))
    return found


def busy_groups(truth: Truth) -> list[bool]:
    """Whether anybody is to be seen in each group of the clip."""
    count = len(truth.frames) // GOP
    return [any(frame.people for frame in truth.frames[k * GOP : (k + 1) * GOP]) for k in range(count)]


@cache
def footage(scene: int, phase: float, seconds: float, share: float, *, cbr: bool = False) -> Footage:
    """A camera's footage, made now or taken from the last run.

    Args:
        scene: index into `SCENES`.
        phase: where in its loop it begins, 0 to 1.
        seconds: how long; shortened to `MAX_FILE_S`.
        share: of the time in which somebody is there.
        cbr: at a constant bit rate instead of a variable one.
    """
    source = _source(scene, cbr=cbr)
    seconds = min(MAX_FILE_S, 60.0 * math.ceil(seconds / 60.0))
    loop = loop_of(busy_groups(source.truth), share)
    groups = sequence(loop, phase, seconds)
    path = CACHE / "arranged" / f"{source.path.stem}-{share:g}-{phase:.3f}-{seconds:g}s.mp4"
    if not path.exists():
        _arrange(source.path, groups, path)
    path.touch()  # those of this run are the last to be removed
    visit = _visit(source.truth, loop)
    active = tuple((begin * GOP_S, end * GOP_S) for begin, end in _runs(groups, visit))
    return Footage(source, path, tuple(happenings(source.truth, groups, loop)), active)


@cache
def render(scene: int, progress: Progress | None = None) -> scenes.Clip:
    """The rendered clip of a scene: about 20 s of work the first time."""
    place, seed = SCENES[scene]
    encoding = EncoderOptions(SIZE, FPS, "file", CRF, GOP)
    return scenes.clip(SceneSpec("quiet", place, seed, SIZE, FPS, CLIP_S), progress, encoding)


@cache
def _source(scene: int, *, cbr: bool) -> scenes.Clip:
    clip = render(scene)
    if not cbr:
        return clip
    path = clip.path.with_name(f"{clip.path.stem}-cbr{CBR_KBIT_S}.mp4")
    if not path.exists():
        _encode_constant(clip.path, path)
    return scenes.Clip(path, clip.truth)


def _visit(truth: Truth, loop: Sequence[int]) -> list[int]:
    busy = busy_groups(truth)
    if not any(busy[k] for k in loop):
        return []
    first, last = busy.index(True), len(busy) - 1 - list(reversed(busy)).index(True)
    return list(range(first, last + 1))


def _runs(groups: Sequence[int], visit: Sequence[int]) -> list[tuple[int, int]]:
    """[begin, end) of each row of groups within the visit that follow each other."""
    runs: list[tuple[int, int]] = []
    for k, group in enumerate(groups):
        if group not in visit:
            continue
        if runs and runs[-1][1] == k and group == groups[k - 1] + 1:
            runs[-1] = runs[-1][0], k + 1
        else:
            runs.append((k, k + 1))
    return runs


def _groups(path: Path) -> list[list[tuple[bytes, int, int]]]:
    """Packets (bytes, dts, pts from the group's begin) of each closed group; in ticks of the stream."""
    groups: list[list[tuple[bytes, int, int]]] = []
    with av.open(str(path)) as container:
        begin = 0
        for packet in container.demux(video=0):
            if packet.size == 0 or packet.dts is None or packet.pts is None:
                continue
            if packet.is_keyframe:
                begin = packet.pts
                groups.append([])
            groups[-1].append((bytes(packet), packet.dts - begin, packet.pts - begin))
    return groups


def _arrange(source: Path, order: Sequence[int], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _make_room(path.parent)
    groups = _groups(source)
    unfinished = path.with_suffix(".part")
    with av.open(str(source)) as read, av.open(str(unfinished), "w", format="mp4") as written:
        template = read.streams.video[0]
        stream = written.add_stream_from_template(template)
        time_base = template.time_base or Fraction(1, 90_000)
        step = round(GOP_S / time_base)
        for k, group in enumerate(order):
            for content, dts, pts in groups[group]:
                packet = av.Packet(content)
                packet.stream, packet.time_base = stream, time_base
                packet.dts, packet.pts = dts + k * step, pts + k * step
                packet.is_keyframe = dts == groups[group][0][1]
                written.mux(packet)
    unfinished.replace(path)


def _make_room(folder: Path) -> None:
    """Remove the files that were not used for longest, until no more than `KEPT_BYTES` are left."""
    files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in folder.glob("*.mp4"))
    total = sum(size for _, size, _ in files)
    for _, size, file in files:
        if total <= KEPT_BYTES:
            return
        file.unlink()
        total -= size


def _encode_constant(source: Path, path: Path) -> None:
    """Encode again as cameras do at a constant bit rate: the quantiser moves, the sizes stay."""
    rate = str(CBR_KBIT_S * 1000)
    settings = EncoderOptions(SIZE, FPS, "file", gop=GOP).settings
    del settings["crf"]
    settings |= {"b": rate, "minrate": rate, "maxrate": rate, "bufsize": str(CBR_KBIT_S * 500)}
    settings["x264-params"] += ":nal-hrd=cbr"
    unfinished = path.with_suffix(".part")
    with av.open(str(source)) as read, av.open(str(unfinished), "w", format="mp4") as written:
        stream = written.add_stream("libx264", rate=Fraction(FPS))
        context = stream.codec_context
        context.width, context.height = SIZE
        context.pix_fmt, context.gop_size, context.max_b_frames = "yuv420p", GOP, 0
        context.time_base, context.options = Fraction(1, 90_000), settings
        for frame in read.decode(video=0):
            frame.pict_type = av.video.frame.PictureType.NONE
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    unfinished.replace(path)


def upscaled(source: Path) -> Path:
    """Real footage as a 1080p25 camera would send it: scaled up, variable bit rate, the usual GOP."""
    path = CACHE / f"{source.stem}-1080p25.mp4"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    options = EncoderOptions(SIZE, FPS, "file", MEDIA_CRF, GOP)
    unfinished = path.with_suffix(".part")
    with av.open(str(source)) as read, av.open(str(unfinished), "w", format="mp4") as written:
        stream = written.add_stream("libx264", rate=Fraction(FPS))
        configure(stream.codec_context, options)
        shown = 0
        for frame in read.decode(video=0):
            # The picture that is there at each 25th of a second; footage of another rate keeps its speed.
            while frame.time is not None and shown / FPS <= frame.time:
                scaled = frame.reformat(*SIZE, "yuv420p")
                scaled.pts, scaled.time_base = round(shown * 90_000 / FPS), Fraction(1, 90_000)
                scaled.pict_type = av.video.frame.PictureType.NONE
                written.mux(stream.encode(scaled))
                shown += 1
        written.mux(stream.encode(None))
    unfinished.replace(path)
    return path
