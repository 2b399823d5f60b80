"""Which evidence is wanted, in which order, and what becomes of an incident meanwhile."""

import threading

import pytest

from edge.evidence_queue import MAX_WAITING, EvidenceQueue
from tests.support.evidence import INCIDENT, draft, new_ids

IDS = new_ids(2)


def queue() -> EvidenceQueue:
    return EvidenceQueue(after_s=10.0)


def test_a_begin_is_wanted_once_and_its_peak_follows_the_worst_look() -> None:
    one = queue()
    one.take("gate", [draft("begin")], 100.0, {}, 5.0)
    one.take("gate", [draft("update")], 101.0, {INCIDENT: 101.0}, 6.0)
    one.take("gate", [], 104.0, {INCIDENT: 104.0}, 9.0)
    one.take("gate", [], 115.0, {INCIDENT: 115.0}, 20.0)
    (wanted,) = one.ranked()
    assert (wanted.told_s, wanted.peak_s, wanted.due_mono_s) == (100.0, 104.0, 15.0)


def test_a_more_severe_level_moves_the_peak_and_later_asks_for_another_piece() -> None:
    one = queue()
    one.take("gate", [draft("begin", 3)], 100.0, {}, 0.0)
    one.take("gate", [draft("update", 2)], 105.0, {}, 5.0)
    (wanted,) = one.ranked()
    assert (wanted.level, wanted.told_s, wanted.peak_s) == (2, 100.0, 105.0)
    with one.done(wanted) as told:
        assert not told.over
    one.take("gate", [draft("update", 3)], 130.0, {}, 30.0)
    one.take("gate", [draft("update", 2)], 140.0, {}, 40.0)
    assert one.ranked() == []
    one.take("gate", [draft("update", 1)], 150.0, {}, 50.0)
    (again,) = one.ranked()
    assert (again.level, again.told_s) == (1, 150.0)


def test_the_end_is_remembered_until_evidence_was_made_and_then_forgotten() -> None:
    one = queue()
    one.take("gate", [draft("begin"), draft("end")], 100.0, {}, 0.0)
    (wanted,) = one.ranked()
    with one.done(wanted) as told:
        assert told.over
    assert one.told(INCIDENT) is None
    one.take("gate", [draft("end")], 101.0, {}, 1.0)
    assert one.ranked() == []
    assert not one._told


def test_nothing_is_wanted_of_what_began_before() -> None:
    one = queue()
    one.take("gate", [draft("update")], 1.0, {}, 0.0)
    assert len(one) == 0


def test_it_is_bounded_and_drops_the_least_severe() -> None:
    one = queue()
    for index in range(MAX_WAITING):
        one.take("gate", [draft("begin", 3, IDS())], float(index), {}, float(index))
    one.take("gate", [draft("begin", 1, IDS())], 200.0, {}, 200.0)
    one.take("gate", [draft("begin", 4, IDS())], 201.0, {}, 201.0)
    ranked = one.ranked()
    assert len(ranked) == MAX_WAITING
    assert [one.level for one in ranked] == [1] + [3] * (MAX_WAITING - 1)
    assert one.failed == {"too_many": 2}


def test_what_is_dropped_is_counted_and_forgotten() -> None:
    one = queue()
    one.take("gate", [draft("begin"), draft("end")], 1.0, {}, 0.0)
    (wanted,) = one.ranked()
    one.drop(wanted, "disk")
    assert one.failed == {"disk": 1}
    assert one.told(INCIDENT) is None
    assert not one._told


@pytest.mark.parametrize("phase", ["update", "end"])
def test_what_is_told_while_evidence_is_saved_waits_for_it(phase: str) -> None:
    one = queue()
    one.take("gate", [draft("begin")], 1.0, {}, 0.0)
    (wanted,) = one.ranked()
    order: list[str] = []

    def tell() -> None:
        one.take("gate", [draft(phase)], 20.0, {}, 20.0)
        order.append("told")

    thread = threading.Thread(target=tell)
    with one.done(wanted):
        thread.start()
        order.append("saved")
    thread.join()
    assert order == ["saved", "told"]
