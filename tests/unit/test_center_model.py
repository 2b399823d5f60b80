"""What the centre speaks of is checked when it is made."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.center import model
from api.center.instants import from_ms, read_ms
from api.center.lifecycle import Standing, State
from api.center.model import Hole, Key, Ledger, Outcome, Received, StoreOptions
from api.center.store.arrivals import arrive
from tests.support.center import START, gap, heartbeat, incident

NAIVE = datetime(2026, 11, 22)  # noqa: DTZ001 - what must be refused


def test_all_that_is_promised_is_there() -> None:
    assert all(hasattr(model, name) for name in model.__all__)
    assert sorted(model.__all__) == sorted(set(model.__all__))


def test_a_time_must_know_its_zone() -> None:
    event = heartbeat()
    with pytest.raises(ValueError, match="received must be aware"):
        Received(event, event.to_json(), "1-0", NAIVE)
    with pytest.raises(ValueError, match="admitted must be aware"):
        Key("n", "0" * 16, bytes(32), NAIVE, "Li")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="inbox_days must be above 0"):
        StoreOptions(inbox_days=0)
    with pytest.raises(ValueError, match="only a fresh event"):
        Outcome(fresh=False, case=1, opened=True)
    with pytest.raises(ValueError, match="32 bytes"):
        Key("n", "0" * 16, b"", START, "Li")
    for first, last in ((0, 1), (2, 1)):
        with pytest.raises(ValueError, match="a hole goes"):
            Hole("n", first, last)
    with pytest.raises(ValueError, match="does not add up"):
        Ledger("n", 3, 1, 1, 0, 0, 1)


def test_a_case_has_a_level_from_1_to_4() -> None:
    place = model.Place("x", "360103")
    case = model.Case(
        id=1,
        version=1,
        standing=Standing(),
        kind="crowd.flow",
        category="crowd_safety",
        department="x",
        level=1,
        region="360103",
        told=("360103",),
        place=place,
        opened=START,
        first=START,
        last=START,
        due=None,
        late=False,
        missed=0,
        calm=False,
        incidents=1,
        event_count=1,
    )
    assert case.state is State.REPORTED
    with pytest.raises(ValueError, match="level must be 1 to 4"):
        replace(case, level=0)
    with pytest.raises(ValueError, match="opened must be aware"):
        replace(case, opened=NAIVE)


def test_moments_go_to_the_database_and_back() -> None:
    at = datetime(2026, 11, 22, 8, 15, 3, 210_000, tzinfo=UTC)
    assert from_ms(read_ms("2026-11-22T08:15:03.210Z")) == at


def test_an_event_is_taken_apart_once() -> None:
    one = incident(7, camera="gate-2")
    arrival = arrive(Received(one, one.to_json(), "1-0", START))
    assert (arrival.node, arrival.camera, arrival.sequence) == ("xihu-07", "xihu-07/gate-2", 7)
    own = heartbeat(3)
    with pytest.raises(TypeError, match="no incident"):
        _ = arrive(Received(own, own.to_json(), "1-0", START)).says
    lost = gap(9, [(1, 5)])
    assert arrive(Received(lost, lost.to_json(), "1-0", START)).gaps == ((1, 5),)
