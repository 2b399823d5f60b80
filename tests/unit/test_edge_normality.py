import numpy as np
import pytest

from edge.cells import Cells
from edge.normality import REBASE, Batch, Normality, pack, unpack, ways_of
from edge.normality_store import Learned, NormalityStore
from edge.rarity import Tail

CELLS = Cells.of(None)
DAY_S = 86400.0
HALF_S = 21 * DAY_S


def batch(cell=(5,), way=0, speed=4, size=0, group=0, times=1, **more) -> Batch:
    n = len(cell) * times
    rows = {"size": size, "group": group, "way": way, "speed": speed}
    arrays = {name: np.full(n, value, np.int64) for name, value in rows.items()}
    return Batch(cell=np.tile(np.array(cell, np.int64), times), **arrays, **more)


def known(hours=(8,), **what) -> Normality:
    return Normality.empty(CELLS, 0.0, HALF_S).learned({hour: batch(**what) for hour in hours}, 0.0)


def test_what_was_seen_is_usual_and_what_was_not_is_rare():
    usual = known(cell=(5, 6, 7), times=300, numbers=(3,) * 60, densities=(1,) * 60).usual(8, 0.0, CELLS)
    seen = (
        usual.place_p[6],
        usual.kind_p[6, 0],
        usual.way_p[6, 0, 0],
        usual.speed_p[0, 0],
        usual.number_p[3],
    )
    assert min(seen) > 0.5
    unseen = (
        usual.place_p[200],
        usual.kind_p[6, 3],
        usual.way_p[6, 0, 4],
        usual.speed_p[0, 12],
        usual.number_p[9],
    )
    assert max(unseen) < 0.05
    assert (usual.way_p[200] == 1).all(), "nobody knows which way one goes where nobody goes"


def test_hours_have_their_own_ways_once_they_are_known():
    mornings, evenings = 8, 18
    place = Normality.empty(CELLS, 0.0, HALF_S)
    place = place.learned({mornings: batch(way=0, times=2000), evenings: batch(way=4, times=2000)}, 0.0)
    morning, evening = (place.usual(hour, 0.0, CELLS).way_p[5, 0] for hour in (mornings, evenings))
    assert morning[4] < 0.05 < evening[4]
    assert evening[0] < 0.05 < morning[0]


def test_an_hour_that_was_never_seen_is_as_hours_like_it():
    monday, tuesday, sunday = (day * 24 + 8 for day in (0, 1, 6))
    place = known(hours=(monday,), times=500)
    for hour in (tuesday, tuesday + 1, sunday, 3 * 24 + 20):
        assert place.usual(hour, 0.0, CELLS).way_p[5, 0, 4] < 0.05


def test_what_was_long_ago_counts_for_less():
    old = known(way=0, times=100)
    later = old.learned({8: batch(way=4, times=100)}, 3 * HALF_S).usual(8, 3 * HALF_S, CELLS)
    assert later.ways[5, 0, 4] / later.ways[5, 0, 0] == pytest.approx(8.0, rel=0.02)
    much_later = old.usual(8, 30 * HALF_S, CELLS)
    assert (much_later.way_p > 0.99).all()
    assert old.learned({8: batch()}, (REBASE + 1) * HALF_S).landmark_s > 0


def test_the_week_is_the_sum_of_its_hours_and_two_nodes_know_more_than_one():
    one, other = known(hours=(3, 50), times=7), known(hours=(50, 90), times=5)
    both = one.merged(other)
    assert both.week == pytest.approx(sum(both.page(hour) for hour in (3, 50, 90)), rel=2e-3)
    assert both.week.sum() == pytest.approx(one.week.sum() + other.week.sum())
    with pytest.raises(ValueError, match="cells"):
        one.merged(Normality("other", 1, 0.0, HALF_S, {}, np.zeros(1)))


def test_packing_is_small_and_nearly_exact():
    rng = np.random.default_rng(2)
    page = np.where(rng.random(19000) < 0.1, rng.exponential(40, 19000), 0.0)
    assert unpack(pack(page)) == pytest.approx(page, rel=1e-3, abs=1e-4)
    assert len(pack(page)) < 8000


def test_ways_are_eighths_of_a_turn():
    angles = np.radians([0, 44, 46, 90, 181, -10, -46])
    assert ways_of(np.column_stack((np.cos(angles), np.sin(angles)))).tolist() == [0, 1, 1, 2, 4, 0, 7]


def learned() -> Learned:
    return Learned(known(hours=(1, 99), times=9), Tail.empty().add(1e-3), Tail.empty(), 77.0, 5.0)


def test_what_is_kept_is_what_comes_back(tmp_path):
    store = NormalityStore(tmp_path / "normality")
    assert store.load("gate.view") is None
    store.save("gate.view", learned())
    back = store.load("gate.view")
    assert back is not None
    assert back.normality.key == CELLS.key
    assert back.normality.week == pytest.approx(learned().normality.week, rel=1e-3)
    assert back.tail.p(1e-3) == learned().tail.p(1e-3)
    assert (back.observed_min, back.faded_s) == (77.0, 5.0)
    (file,) = (tmp_path / "normality").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    store.drop("gate.view")
    assert store.load("gate.view") is None
    store.drop("gate.view")


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-5], lambda b: b[:90] + b"x" + b[91:], lambda b: b"", lambda b: b"x" * 99]
)
def test_a_damaged_file_is_moved_aside(tmp_path, harm):
    store = NormalityStore(tmp_path)
    store.save("gate.view", learned())
    path = tmp_path / "gate.view.normality"
    path.write_bytes(harm(path.read_bytes()))
    assert store.load("gate.view") is None
    assert [p.name for p in tmp_path.iterdir()] == ["gate.view.normality.damaged"]
    store.save("gate.view", learned())
    assert store.load("gate.view") is not None


def test_a_disk_that_refuses_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("no folder")
    store = NormalityStore(tmp_path / "file")
    store.save("gate.view", learned())
    assert store.load("gate.view") is None
    store.drop("gate.view")
    store.forgotten("gate")


def test_a_mark_asks_a_camera_to_forget(tmp_path):
    store = NormalityStore(tmp_path / "normality")
    assert not store.asked_to_forget("gate")
    store.ask_to_forget("gate")
    assert store.asked_to_forget("gate")
    store.forgotten("gate")
    assert not store.asked_to_forget("gate")
