"""A recorded clip through the same line as a live camera: fast, every picture in turn, repeatable."""

import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from edge.analysis import ZoneCount
from edge.census import Census, Wish
from edge.config import CameraConfig, ModelConfig, NodeConfig
from edge.events import Event, EventContext, EventDraft
from edge.fires import Fires
from edge.floors import counts_heads
from edge.identifiers import Uuid7
from edge.opening import address, source_options
from edge.people import People
from edge.watch import CameraWatch
from models.density import DensityModel
from models.detector import Detector
from models.fallen import FallenModel
from models.fire import FireModel
from models.tracker import Tracker
from streams.decode import DecodedPicture, Decoder
from streams.errors import StreamEndedError
from streams.gate import RateGate
from streams.packet import PacketSource
from streams.source import open_source
from streams.timeline import Timeline

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Wall time of a clip's zero: fixed, so that the same clip gives the same events to the last byte."""

_SEED = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One analysed picture of a clip; the last one is of no picture and only ends what is open.

    Attributes:
        pts_s: its time in the clip.
        done: share of the clip, 0 to 1; None where its length is unknown.
        zones: people by zone.
        events: what it made begin, change or end.
        people: everybody in view on the ground; None where the camera is not calibrated.
        looked: whether this is a picture, not the end after the last one.
    """

    pts_s: float
    done: float | None
    zones: Mapping[str, ZoneCount]
    events: tuple[Event, ...]
    people: People | None = None
    looked: bool = True


class _Numbered:
    """Gives events their sequence numbers without a disk."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, drafts: list[EventDraft]) -> tuple[Event, ...]:
        first = self._last + 1
        self._last += len(drafts)
        return tuple(Event.number(draft, first + k) for k, draft in enumerate(drafts))


def pictures(source: PacketSource) -> Iterator[DecodedPicture]:
    """Every picture of a source until it ends of its own accord.

    Raises:
        ReadError: the stream broke.
    """
    decoder = Decoder(source.info)
    try:
        for packet in source.packets():
            yield from decoder.decode(packet)
    except StreamEndedError:
        yield from decoder.flush()


def open_clip(camera: CameraConfig) -> PacketSource:
    """The camera's source, to be read as fast as it goes.

    Raises:
        SourceUrlError: the address is none.
        OpenError: it cannot be opened.
    """
    return open_source(address(camera), source_options(camera, realtime=False))


@dataclass(frozen=True, slots=True)
class Models:
    """What looks at a clip.

    Attributes:
        detector: finds the objects.
        density: counts heads where people hide each other; None: only detections count.
        fire: sees fire and smoke where a rule asks for that; None: nothing does.
        fallen: tells who lies where a rule asks for that; None: nothing does.
    """

    detector: Detector
    density: DensityModel | None = None
    fire: FireModel | None = None
    fallen: FallenModel | None = None


def analyse(camera: CameraConfig, node: NodeConfig, model: ModelConfig, models: Models) -> Iterator[Step]:
    """Analyse a camera's source to its end, at the camera's rate, without dropping a picture.

    Ids come from a fixed seed and times from the clip, so that two runs give the same bytes.

    Args:
        camera: its source is the clip.
        node: who speaks.
        model: its threshold.
        models: what looks; heads are counted in every picture.

    Yields:
        A step for each analysed picture; the last one ends what is open.

    Raises:
        StreamError: the clip cannot be opened or read.
        SessionError: inference fails.
        CameraError: a rule asks for what the models cannot tell.
    """
    now = EPOCH
    randbits = random.Random(_SEED).getrandbits  # noqa: S311 - ids are to repeat, not to be secret
    new_id = Uuid7(lambda: now, randbits)
    context = EventContext(node.id, node.district, new_id, camera.id, camera.place, randbits)
    tracker = Tracker(model.threshold, np.random.default_rng(_SEED))
    watch = CameraWatch(camera, models.detector, context, tracker, new_id)
    fires = Fires(models.fire, [camera]) if models.fire is not None else None
    crowded = frozenset({camera.id} if counts_heads(camera) else ())
    census = Census(models.density, crowded, fires, models.fallen)
    gate, timeline, number = RateGate(camera.analysed_fps), Timeline(), _Numbered()
    pts_s = 0.0
    with closing(open_clip(camera)) as source:
        length_s = source.info.duration_s
        for decoded in pictures(source):
            pts_s = timeline.stamp(decoded.pts_s)
            if not gate.admit(pts_s):
                continue
            now = EPOCH + timedelta(seconds=pts_s)
            found = models.detector.detect(decoded.picture)
            wish = Wish(heads=True, motion=watch.dense, luma=watch.checks_view(pts_s))
            scene = census.look(camera.id, decoded.picture, pts_s, wish)
            if fires is not None and fires.due(camera.id, pts_s):
                scene = replace(scene, flames=fires.look(camera.id, decoded.picture, pts_s))
            drafts = watch.update(found, pts_s, now, scene)
            done = min(1.0, pts_s / length_s) if length_s else None
            yield Step(pts_s, done, watch.zones, number(drafts), watch.people)
    yield Step(pts_s, 1.0, {}, number(watch.close(now)), looked=False)
