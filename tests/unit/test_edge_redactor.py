"""The only way out for a picture: sealed, and shut when anything is wrong."""

import copy
import dataclasses
import pickle
import threading

import numpy as np
import pytest

from edge.cover import RIM, CoverOptions, Witnessed
from edge.looks import Look
from edge.metrics import Metrics
from edge.redactor import KEEP_S, RedactedPicture, RedactionError, Redactor, Sightings
from streams.picture import ArrayPicture
from tests.support.looks import EMPTY, PERSON, learned, look, shown


def _picture(width: int = 640, height: int = 360) -> ArrayPicture:
    return ArrayPicture(np.full((height, width, 3), 122, np.uint8))


def _redactor(seed: int = 1) -> Redactor:
    return Redactor(CoverOptions(), np.random.default_rng(seed))


def _witnessed(*looks: Look) -> Witnessed:
    return Witnessed(looks, learned())


class _Broken(ArrayPicture):
    """Fails at what it is asked for."""

    def __init__(self, part: str) -> None:
        super().__init__(np.zeros((360, 640, 3), np.uint8))
        self.part = part

    def luma(self, width: int, height: int) -> np.ndarray:
        if self.part == "luma":
            raise MemoryError
        return np.zeros((9, 9), np.uint8) if self.part == "small" else super().luma(width, height)

    def yuv(self, width: int, height: int) -> np.ndarray:
        if self.part == "yuv":
            raise ValueError("rtsp://user:hush@camera")
        return super().yuv(width, height)[:-1] if self.part == "shape" else super().yuv(width, height)


def test_a_picture_comes_out_covered_where_it_must_be() -> None:
    out = _redactor().apply(_picture(), 0.0, _witnessed(look(0.0, PERSON)))
    plain = _picture().yuv(640, 360)
    assert (out.width, out.height, out.pts_s) == (640, 360, 0.0)
    changed = out.yuv[:360] != plain[:360]
    assert 0.0 < out.covered < 0.5
    # the pattern is by chance what was there in one pixel of thirty
    assert changed.mean() == pytest.approx(out.covered, rel=0.1)


def test_without_any_look_everything_is_covered() -> None:
    out = _redactor().apply(_picture(), 0.0, Witnessed())
    other = _redactor().apply(ArrayPicture(np.zeros((360, 640, 3), np.uint8)), 0.0, Witnessed())
    assert out.covered == 1.0
    assert np.array_equal(out.yuv, other.yuv)


@pytest.mark.parametrize("part", ["luma", "small", "yuv", "shape"])
def test_whatever_breaks_there_is_no_picture(part: str) -> None:
    with pytest.raises(RedactionError, match="no picture") as caught:
        _redactor().apply(_Broken(part), 0.0, _witnessed(look(0.0)))
    assert "hush" not in str(caught.value)


def test_looks_that_are_none_give_no_picture() -> None:
    with pytest.raises(RedactionError):
        _redactor().apply(_picture(), 0.0, None)  # type: ignore[arg-type]


def test_nobody_else_can_make_a_redacted_picture() -> None:
    yuv = np.zeros((540, 640), np.uint8)
    for seal in (None, object(), True, "seal"):
        with pytest.raises(TypeError, match="only Redactor"):
            RedactedPicture(yuv, 0.0, 0.0, seal)
    with pytest.raises(TypeError):
        RedactedPicture(yuv, 0.0, 0.0)  # type: ignore[call-arg]
    real = _redactor().apply(_picture(), 0.0, Witnessed())
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied"):
            way(real)
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(real, yuv=yuv)


def test_a_redacted_picture_cannot_be_changed() -> None:
    real = _redactor().apply(_picture(), 0.0, Witnessed())
    with pytest.raises(dataclasses.FrozenInstanceError):
        real.yuv = np.zeros((540, 640), np.uint8)  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        real.yuv[0, 0] = 1


def test_sizes_may_change_and_odd_ones_lose_a_line() -> None:
    redactor = _redactor()
    for width, height in ((640, 360), (321, 181), (64, 64), (1920, 1080)):
        out = redactor.apply(_picture(width, height), 0.0, _witnessed(look(0.0, PERSON)))
        assert (out.width, out.height) == (width // 2 * 2, height // 2 * 2)
        assert out.covered > 0


def test_live_pictures_know_the_past_and_clips_both_sides() -> None:
    sightings = Sightings()
    for k in range(8):
        sightings.take(look(k / 2, luma=shown(PERSON)))
    assert [one.pts_s for one in sightings.around(1.6, live=True).looks] == [0.0, 0.5, 1.0, 1.5]
    assert [one.pts_s for one in sightings.around(1.6, live=False).looks] == [k / 2 for k in range(8)]
    assert sightings.around(99.0, live=True).looks == ()


def test_old_looks_are_forgotten_and_so_is_all_when_time_goes_back() -> None:
    sightings = Sightings()
    for k in range(100):
        sightings.take(look(float(k)))
    assert sightings.around(99.0 - KEEP_S - 3, live=False).looks == ()
    backdrop = sightings.around(99.0, live=True).backdrop
    assert backdrop is not None
    assert backdrop.known.all()
    sightings.take(look(5.0))
    again = sightings.around(5.0, live=True)
    assert [one.pts_s for one in again.looks] == [5.0]
    assert again.backdrop is not None
    assert not again.backdrop.known.any()
    sightings.forget()
    assert sightings.around(5.0, live=False).looks == ()
    assert sightings.around(5.0, live=False).backdrop is None


def test_sightings_are_for_any_thread() -> None:
    """Whoever reads while another writes has looks in order and a place that belongs to them."""
    sightings, stop, wrong = Sightings(), threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            seen = sightings.around(20.0, live=False)
            if not seen.fits(20.0) or (seen.backdrop is None and seen.looks):
                wrong.append(seen)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for k in range(60):
        sightings.take(look(19 + k / 30))
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_failures_are_counted_by_camera_and_shown_before_any() -> None:
    metrics = Metrics()
    metrics.count_redaction_failure("gate", 0)
    metrics.count_redaction_failure("plaza")
    text = metrics.text()[0].decode()
    assert 'sharpeyes_redaction_failures_total{camera="gate"} 0.0' in text
    assert 'sharpeyes_redaction_failures_total{camera="plaza"} 1.0' in text


def test_the_same_place_without_anybody_is_open() -> None:
    out = _redactor().apply(
        ArrayPicture(np.full((180, 320, 3), int(EMPTY[0, 0]), np.uint8)), 0.0, _witnessed(look(0.0))
    )
    assert out.covered == RIM.mean()
