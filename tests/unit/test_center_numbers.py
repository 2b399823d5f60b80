"""The numbers of the centre: what they count, and what they leave out."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.center.lifecycle import Action, State
from api.center.model import Numbers, Precision
from api.center.numbers import rank, ratio
from api.center.store import Store
from tests.support.center import KINDS, START, Hands, coverage, gap, heartbeat, incident, open_store, receive

DAY = timedelta(days=1)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, hands: Hands) -> Iterator[Store]:
    with open_store(request.param, tmp_path, hands) as opened:
        yield opened


def numbers(store: Store) -> Numbers:
    return store.numbers(START - DAY, START + DAY)


def test_an_empty_centre_divides_by_nothing(store: Store) -> None:
    empty = numbers(store)
    assert (empty.indicators.coverage, empty.indicators.sharing) == (None, None)
    assert (empty.indicators.availability, empty.indicators.control) == (None, None)
    assert (empty.stages, empty.precision, empty.false_alarms) == ((), (), ())
    assert (empty.false_alarms_per_camera_day, empty.opened, empty.ended) == (None, 0, 0)
    assert empty.span == 2 * DAY
    with pytest.raises(ValueError, match="until"):
        store.numbers(START, START)


def test_coverage_is_the_share_of_the_tasks_time_that_was_not_blind(store: Store) -> None:
    rows = [
        {
            "camera": "a",
            "tasks": ["crowd.density/x", "crowd.flow/x"],
            "ms": {"analysed": {"at_rate": 60_000}},
        },
        {
            "camera": "b",
            "tasks": ["hazard.fall/x"],
            "ms": {"blind": {"shed": 45_000}, "degraded": {"overload": 15_000}},
        },
    ]
    one = coverage(1, rows)
    receive(store, one, coverage(2, rows[:1], at=START + timedelta(seconds=60)))
    receive(store, one)
    assert numbers(store).indicators.coverage == pytest.approx(255 / 300)
    assert store.numbers(START + DAY, START + 2 * DAY).indicators.coverage is None


def test_sharing_counts_what_was_created(store: Store) -> None:
    receive(store, heartbeat(8), gap(9, [(1, 2)]), heartbeat(1, node="b"))
    # stored 2 of 9, and 1 of 1
    assert numbers(store).indicators.sharing == pytest.approx(3 / 10)


def test_a_node_is_available_that_was_heard_within_two_heartbeats(store: Store, hands: Hands) -> None:
    receive(store, heartbeat(1), heartbeat(1, node="b"))
    key = store.admit("silent", bytes(32), "Zhao")
    assert numbers(store).indicators.availability == pytest.approx(2 / 3)
    store.revoke("silent", key.id, "Zhao")
    assert numbers(store).indicators.availability == 1
    hands.move(seconds=119)
    receive(store, heartbeat(2), at=hands.now)
    hands.move(seconds=1)
    assert numbers(store).indicators.availability == pytest.approx(1 / 2)
    assert store.heard() == {"xihu-07": START + timedelta(seconds=119), "b": START}


def act(store: Store, case: int, *actions: str, cause: str | None = None) -> None:
    for action in actions:
        version = store.case(case).version
        store.act(case, version, Action(action), "Li", "why", cause if action == "reject" else None)


def test_control_is_the_share_of_cases_that_met_their_deadlines(store: Store, hands: Hands) -> None:
    receive(store, *(incident(k, camera=f"c{k}", kind=kind) for k, kind in enumerate(KINDS_OF_FOUR, 1)))
    act(store, 1, "void")
    assert numbers(store).indicators.control == 1
    act(store, 4, "accept", "suspend")
    store.overdue(hands.move(hours=1))
    act(store, 2, "void")
    # 1 in time, 2 and 3 late, 4 is not decided yet
    found = numbers(store)
    assert found.indicators.control == pytest.approx(1 / 3)
    assert (found.opened, found.ended) == (4, 2)


KINDS_OF_FOUR = ("crowd.density", "crowd.flow", "hazard.fall", "hazard.fire")


def test_stage_times_are_quantiles_by_nearest_rank(store: Store, hands: Hands) -> None:
    for k in range(1, 11):
        receive(store, incident(k, camera=f"c{k}", at=hands.now), at=hands.now)
        hands.move(seconds=k)
        act(store, k, "accept")
        hands.move(minutes=5)
    (reported,) = numbers(store).stages
    assert (reported.stage, reported.count) == (State.REPORTED, 10)
    assert (reported.p50_s, reported.p90_s) == (5, 9)


def test_precision_and_false_alarms_by_camera(store: Store) -> None:
    row = {"camera": "a", "tasks": ["hazard.fall/x"], "ms": {"analysed": {"at_rate": 3_600_000}}}
    kinds = ("hazard.fall", "hazard.fire", "hazard.intrusion")
    for k, kind in enumerate(kinds, 1):
        receive(store, incident(k, camera="a", kind=kind))
    receive(store, coverage(4, [row], span_ms=3_600_000))
    act(store, 1, "reject", cause="animal")
    act(store, 2, "accept", "dispatch", "handle", "report_back", "verify", "close")
    act(store, 3, "void")
    found = numbers(store)
    assert found.precision == (
        Precision("xihu-07/a", "hazard.fall/platform", 0, 1),
        Precision("xihu-07/a", "hazard.fire/platform", 1, 0),
    )
    assert [row.share for row in found.precision] == [0, 1]
    (camera,) = found.false_alarms
    assert (camera.camera, camera.false, camera.per_day) == ("xihu-07/a", 1, 0.5)
    # one hour of one camera
    assert found.false_alarms_per_camera_day == pytest.approx(24)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30), st.floats(0.01, 1))
def test_the_rank_is_the_first_that_the_share_does_not_exceed(values: list[int], share: float) -> None:
    values.sort()
    at = rank(len(values), share)
    assert 0 <= at < len(values)
    assert at + 1 >= share * len(values)
    assert at < share * len(values)


def test_a_ratio_of_nothing_is_none() -> None:
    assert ratio(1, 4) == 0.25
    assert ratio(0, 0) is None
