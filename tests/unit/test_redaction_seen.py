"""The whole way with the shipped detector on a simulated camera: drawn heads are covered in every picture."""

import numpy as np
import pytest

from benchmarks.redaction import LATE_S, correlation, watched
from benchmarks.redaction_seen import Looked, Shown, pictures
from edge.cover import RIM, CoverOptions, plan
from edge.grid import finer
from edge.looks import Look
from edge.redactor import Redactor, Sightings
from models.detections import Detections, Tracks
from models.tracker import Tracker
from models.zoo import load_detector
from streams.gate import RateGate
from streams.picture import AvPicture
from streams.sim.spec import SceneSpec
from streams.tiles import LUMA_SIZE

SPEC = SceneSpec("walk", "plaza", 3, (640, 360), 12.5, 26.0)


@pytest.fixture(scope="module")
def seen() -> list[tuple[float, AvPicture, np.ndarray]]:
    return list(pictures(SPEC))


@pytest.mark.parametrize("live", [True, False], ids=["live", "clip"])
def test_heads_of_walkers_are_covered(seen: list[tuple[float, AvPicture, np.ndarray]], live: bool) -> None:
    detector, tracker, gate = (
        load_detector("nanodet-g-416-int8"),
        Tracker(rng=np.random.default_rng(1)),
        RateGate(2),
    )
    looks = []
    for pts_s, picture, _ in seen:
        if gate.admit(pts_s):
            found = detector.detect(picture)
            looks.append(Look.of(pts_s, picture.luma(*LUMA_SIZE), found, tracker.update(found, pts_s), 0))
    assert sum(len(one) for one in looks) > 50
    sightings, waiting = Sightings(), list(looks)
    shares = []
    for pts_s, picture, heads in seen:
        while waiting and waiting[0].pts_s <= pts_s + (-LATE_S if live else 10.0):
            sightings.take(waiting.pop(0))
        witnessed = sightings.around(pts_s, live=live)
        covered = plan(CoverOptions(), witnessed, picture.luma(*LUMA_SIZE), pts_s, SPEC.size)
        some = heads >= 0
        if some.any():
            assert finer(covered, heads.shape)[some].mean() >= 0.995, pts_s
        shares.append(covered.mean())
    # not by covering everything: once the place is learned, most of it is open
    assert np.mean(shares[-25:]) < 0.7


def test_nothing_of_a_head_is_left_in_the_pixels(seen: list[tuple[float, AvPicture, np.ndarray]]) -> None:
    redactor, rs = Redactor(CoverOptions(), np.random.default_rng(5)), []
    for pts_s, picture, heads in seen[::20]:
        some = heads >= 0
        if some.sum() < 100:
            continue
        out = redactor.apply(picture, pts_s, Sightings().around(pts_s, live=True)).yuv[: SPEC.size[1]]
        rs.append(correlation(picture.luma(*SPEC.size)[some], out[some]))
    assert len(rs) > 3
    assert abs(np.mean(rs)) <= 0.1


def _shown(pts_s: float, at: list[int], looked: bool) -> Shown:
    nothing = Looked(Detections.empty(), Tracks.empty(), None)
    return Shown(
        pts_s,
        np.full((180, 320), 120, np.uint8),
        np.array(at, np.int32),
        np.zeros(len(at), np.int16),
        np.full(len(at), 77, np.uint8),
        nothing if looked else None,
    )


def test_the_benchmark_sees_heads_that_nothing_tells_of() -> None:
    """A head as grey as the place, which nobody found: covered while the place is learned, then bare."""
    shown = [
        _shown(k / 4, [640 * 1280 + column for column in range(600, 640)], k % 2 == 0) for k in range(120)
    ]
    found = list(watched(shown, "live", 1))
    assert found[4].covered == 1.0
    assert found[-1].covered == 0.0
    assert (found[-1].missed, found[-1].share) == (1, RIM.mean())
    assert all(one.covered == 1.0 for one in watched([_shown(0.0, [], True)], "clip", 1))


def test_correlation_of_pixels() -> None:
    rising = np.arange(50)
    assert correlation(rising, 3 * rising) == pytest.approx(1.0)
    assert correlation(rising, -rising) == pytest.approx(-1.0)
    assert np.isnan(correlation(rising, np.ones(50)))
    assert np.isnan(correlation(rising[:0], rising[:0]))
