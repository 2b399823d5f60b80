"""From an incident to its clip: the right seconds at the right times, redacted, whatever analysis did."""

import hashlib
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.cover import CoverOptions
from edge.envelope import EventDraft, IncidentData
from edge.events import repeated
from edge.evidence_config import EvidenceConfig
from edge.evidence_maker import LOOK_PATIENCE_S, PATIENCE_S, EvidenceMaker, Kit
from edge.evidence_store import check
from edge.manifest import CLIP, MANIFEST, SNAPSHOT
from edge.pictures import CameraPictures
from edge.redactor import Redactor
from edge.signing import known_keys, verify
from models.detections import Detections
from streams.frame import Picture
from streams.packet import Packet, StreamInfo
from streams.sim.clip import write_clip
from streams.sim.spec import SceneSpec
from tests.support.evidence import (
    INCIDENT,
    NOW,
    Register,
    Wall,
    camera_of,
    context,
    draft,
    new_ids,
    store,
)
from tests.support.looks import learned, look

SPEC = SceneSpec("walk", "plaza", seed=2, size=(640, 360), fps=12.5, seconds=30.0)
NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int16))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip(SPEC, folder / "a.mp4", folder / "a.json")
    return folder / "a.mp4"


class Hands:
    """A clock that the test moves; waits end at once."""

    def __init__(self, wall: Wall) -> None:
        self.now_s = 0.0
        self.wall = wall
        self.waits = 0

    def monotonic(self) -> float:
        return self.now_s

    def utc(self) -> datetime:
        return self.wall.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits += 1
        self.now_s += timeout_s
        if self.waits > 100:
            event.set()
        return event.is_set()


class House:
    """A maker with a real store, a camera whose packets are all there, and a detector that sees nobody."""

    def __init__(self, folder: Path, camera: CameraPictures, **config: object) -> None:
        self.wall, self.register = Wall(), Register()
        self.clock = Hands(self.wall)
        self.store = store(folder, self.wall, self.register, 2**26)
        self.folder, self.camera = folder, camera
        self.saved: list[EventDraft] = []
        self.withheld: list[tuple[str, int]] = []
        self.looked: list[Picture] = []
        kit = Kit(
            EvidenceConfig.model_validate(config),
            "node-1",
            "0",
            {"gate": camera},
            self.store,
            load=lambda: (self._detect, 0),
            again=lambda last, phase, evidence: repeated(context(), last, phase, evidence),
            save=self.saved.extend,
            withheld=lambda id_, number: self.withheld.append((id_, number)),
            new_id=new_ids(3),
        )
        self.maker = EvidenceMaker(kit, self.clock)

    def _detect(self, picture: Picture) -> Detections:
        self.looked.append(picture)
        return NOBODY

    def told(self, drafts: Sequence[EventDraft], pts_s: float, peak: float | None = None) -> None:
        self.maker.told("gate", drafts, pts_s, {} if peak is None else {INCIDENT: peak})

    def run(self) -> None:
        self.maker.run(threading.Event())


def pictures_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        return [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="gray"))
            for frame in container.decode(stream)
        ]


def test_a_clip_has_the_seconds_around_and_the_snapshot_is_of_the_peak(tmp_path: Path, clip: Path) -> None:
    house = House(tmp_path, camera_of(clip))
    house.told([draft("begin")], 14.96)
    house.told([], 16.0, peak=16.0)
    house.told([draft("end")], 17.0)
    house.run()
    (piece,) = house.store.of("gate")
    manifest = check(house.store.path(piece, CLIP).parent, known_keys(tmp_path), verify)
    assert (manifest.told_s, manifest.peak_s) == (14.96, 16.0)
    assert manifest.first_s == pytest.approx(4.96, abs=0.081)
    assert manifest.last_s == pytest.approx(24.96, abs=0.081)
    shown = pictures_of(house.store.path(piece, CLIP))
    wanted = [k / 12.5 for k in range(375) if 4.96 - 1e-6 <= k / 12.5 <= 24.96 + 1e-6]
    assert [manifest.first_s + pts_s for pts_s, _ in shown] == pytest.approx(wanted, abs=1e-3)
    assert manifest.pictures == len(shown)
    snapshot = cv2.imread(str(house.store.path(piece, SNAPSHOT)), cv2.IMREAD_GRAYSCALE)
    at_peak = min(shown, key=lambda one: abs(manifest.first_s + one[0] - 16.0))[1]
    assert np.abs(snapshot.astype(int) - at_peak).mean() < 12
    (event,) = house.saved
    data = event.data
    assert isinstance(data, IncidentData)
    assert (data.incident, data.phase) == (INCIDENT, "end")
    evidence = data.evidence
    assert evidence is not None
    assert evidence.clip == f"/cameras/gate/evidence/{piece.id}/clip.mp4"
    body = house.store.path(piece, CLIP).read_bytes()
    assert hashlib.sha256(body).hexdigest() == evidence.sha256
    assert body.index(b"moov") < body.index(b"mdat")
    assert house.maker.counts().made == 1


def test_where_analysis_never_looked_the_maker_looks_and_nothing_is_shown(tmp_path: Path, clip: Path) -> None:
    house = House(tmp_path, camera_of(clip), before_s=4, after_s=4, base_url="https://gate.example:8080/")
    house.told([draft("begin")], 10.0)
    house.run()
    (piece,) = house.store.of("gate")
    assert 8 <= piece.manifest.own_looks <= 20
    assert len(house.looked) == piece.manifest.own_looks == house.maker.counts().own_looks
    assert piece.manifest.redaction.covered == 1.0  # the place was never learned
    (event,) = house.saved
    assert event.data.phase == "update"  # type: ignore[union-attr]
    assert event.data.evidence.snapshot.startswith("https://gate.example:8080/cameras/gate/")  # type: ignore[union-attr]


def test_where_analysis_looked_often_enough_nobody_looks_again(tmp_path: Path, clip: Path) -> None:
    camera = camera_of(clip)
    for k in range(60):
        camera.sightings.take(look(5.0 + k / 5))
    house = House(tmp_path, camera, before_s=4, after_s=4)
    house.told([draft("begin")], 10.0)
    house.run()
    (piece,) = house.store.of("gate")
    assert house.looked == []
    assert piece.manifest.looks in {40, 41}


def test_it_waits_for_what_comes_after_but_not_for_ever(tmp_path: Path, clip: Path) -> None:
    camera = camera_of(clip)
    house = House(tmp_path, camera)
    newest_s = camera.ring.newest_s
    assert newest_s is not None
    house.told([draft("begin")], newest_s - 5.0)
    (wanted,) = house.maker._queue.ranked()
    assert not house.maker._ready(wanted, 10.0 + PATIENCE_S - 0.01)
    assert house.maker._ready(wanted, 10.0 + PATIENCE_S)
    camera.ring.put(Packet(newest_s + 9.0, 1, True, av.Packet()), newest_s + 9.0, 0.0, NOW)
    assert not house.maker._ready(wanted, 10.0 + LOOK_PATIENCE_S - 0.01)
    assert house.maker._ready(wanted, 10.0 + LOOK_PATIENCE_S)
    camera.sightings.take(look(newest_s + 5.0))
    assert house.maker._ready(wanted, 10.0)


def test_without_packets_there_is_none_and_it_is_counted(tmp_path: Path, clip: Path) -> None:
    house = House(tmp_path, camera_of(clip))
    house.told([draft("begin")], 500.0)
    house.run()
    assert house.maker.counts().failed == {"no_packets": 1}
    assert house.saved == []


def test_what_cannot_be_redacted_is_not_written_and_counted(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, camera_of(clip), before_s=1, after_s=1)
    monkeypatch.setattr("edge.redactor.plan", lambda *_: 1 / 0)
    house.told([draft("begin")], 10.0)
    house.run()
    assert house.maker.counts().failed == {"redaction": 1}
    ((camera, number),) = house.withheld
    assert camera == "gate"
    assert number > 20
    assert list((tmp_path / "evidence").iterdir()) == []


def test_packets_that_show_nothing_and_disks_without_room_are_told_apart(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = CameraPictures(type(camera_of(clip).ring)(), camera_of(clip).sightings, CoverOptions())
    camera.ring.opened(StreamInfo("h264", 640, 360))
    for k in range(50):
        rubbish = av.Packet(b"\x00\x00\x00\x01\x65" + bytes([k]) * 50)
        camera.ring.put(Packet(k / 5, 55, k == 0, rubbish), k / 5, 0.0, NOW)
    house = House(tmp_path, camera, before_s=2, after_s=2)
    house.told([draft("begin")], 5.0)
    house.run()
    assert house.maker.counts().failed == {"undecodable": 1}

    house = House(tmp_path / "full", camera_of(clip), before_s=1, after_s=1)
    monkeypatch.setattr(Path, "write_bytes", _full)
    house.told([draft("begin")], 10.0)
    house.run()
    assert house.maker.counts().failed == {"disk": 1}


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_defect_in_one_clip_ends_no_other(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, camera_of(clip), before_s=1, after_s=1)
    other = "0192f0c1-0000-7000-8000-000000000002"
    house.told([draft("begin", 1)], 10.0)
    house.told([draft("begin", 2, other)], 12.0)
    real, calls = Redactor.apply, []

    def breaks_once(self: Redactor, *rest: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("broken")
        return real(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Redactor, "apply", breaks_once)
    house.run()
    assert house.maker.counts().failed == {"defect": 1}
    assert [piece.manifest.incident for piece in house.store.of("gate")] == [other]


def test_large_pictures_are_scaled_to_even_sides(tmp_path: Path, clip: Path) -> None:
    house = House(tmp_path, camera_of(clip), before_s=1, after_s=1, max_height=201)
    house.told([draft("begin")], 10.0)
    house.run()
    (piece,) = house.store.of("gate")
    assert (piece.manifest.width, piece.manifest.height) == (358, 200)


def test_people_are_covered_in_the_clip_where_the_place_is_known(tmp_path: Path, clip: Path) -> None:
    camera = camera_of(clip)
    camera.sightings._backdrop = learned(5.0)
    camera.sightings._looks.append(look(9.9))
    house = House(tmp_path, camera, before_s=1, after_s=1)
    house.told([draft("begin")], 10.0)
    house.run()
    (piece,) = house.store.of("gate")
    assert 0.0 < piece.manifest.redaction.covered <= 1.0
    assert MANIFEST in {path.name for path in house.store.path(piece, CLIP).parent.iterdir()}
