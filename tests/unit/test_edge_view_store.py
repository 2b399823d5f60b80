import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from edge.sections import GroundPoint
from edge.view_store import Appearance, ViewStore, calibration_key
from streams.shift import Backdrop, Shift
from tests.support.views import EVERYWHERE, seen

KEY = "a" * 64


def appearance(offset=Shift()) -> Appearance:  # noqa: B008 - frozen
    known = EVERYWHERE.copy()
    known[:50, :70] = False
    return Appearance(Backdrop(seen(), known), offset)


@pytest.fixture
def store(tmp_path):
    return ViewStore(tmp_path / "views")


def test_what_is_saved_is_loaded(store):
    saved = (appearance(), appearance(Shift(1.01 + 0.02j, 3 - 4j)))
    store.save("gate", KEY, saved)
    loaded = store.load("gate", KEY)
    assert [one.offset for one in loaded] == [one.offset for one in saved]
    for one, other in zip(loaded, saved, strict=True):
        assert (one.backdrop.grey == other.backdrop.grey).all()
        assert (one.backdrop.known == other.backdrop.known).all()


def test_nobody_else_may_read_it(store, tmp_path):
    store.save("gate", KEY, (appearance(),))
    (path,) = (tmp_path / "views").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_is_kept_of_a_new_camera(store):
    with capture_logs() as logs:
        assert store.load("gate", KEY) == ()
    assert logs == []


def test_a_new_calibration_makes_the_old_view_worthless(store):
    store.save("gate", KEY, (appearance(),))
    with capture_logs() as logs:
        assert store.load("gate", "b" * 64) == ()
    assert [(log["log_level"], log["camera"]) for log in logs] == [("info", "gate")]


@settings(max_examples=40)
@given(data=st.data())
def test_any_damage_makes_a_new_view_with_a_warning(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("views")
    store = ViewStore(folder)
    store.save("gate", KEY, (appearance(),))
    path = folder / "gate.view"
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        # Mostly the head, where the forms are.
        at = data.draw(st.one_of(st.integers(0, 300), st.integers(0, len(content) - 1)))
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with capture_logs() as logs:
        assert store.load("gate", KEY) == ()
    assert [log["log_level"] for log in logs] == ["warning"]


def test_a_disk_that_refuses_is_a_warning(tmp_path):
    (tmp_path / "views").write_text("in the way")
    store = ViewStore(tmp_path / "views")
    with capture_logs() as logs:
        store.save("gate", KEY, (appearance(),))
        assert store.load("gate", KEY) == ()
    assert [log["log_level"] for log in logs] == ["warning", "warning"]


def test_the_key_is_the_surveyed_points():
    def points(*spots):
        return [GroundPoint(image=(x, y), ground=(x * 10, y * 10)) for x, y in spots]

    one = points((0.1, 0.9), (0.9, 0.9))
    assert calibration_key(one) == calibration_key(points((0.1, 0.9), (0.9, 0.9)))
    assert calibration_key(one) != calibration_key(points((0.1, 0.9), (0.9, 0.8)))
    assert calibration_key(one) != calibration_key(one[:1])
    assert len(calibration_key(one)) == 64


def test_a_view_holds_a_small_grey_and_nothing_else(store, tmp_path):
    store.save("gate", KEY, (appearance(),))
    size = (tmp_path / "views" / "gate.view").stat().st_size
    assert 320 * 180 * 9 / 8 < size < 320 * 180 * 9 / 8 + 300
    assert np.prod(seen().shape) == 320 * 180
