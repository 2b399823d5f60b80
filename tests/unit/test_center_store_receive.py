"""Taking events in: once in effect, in any order, in both databases."""

import json
import random
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.center.errors import NotFoundError, PoisonError, StoreAwayError
from api.center.model import CaseQuery, Hole, MergeOptions, Outcome, Received, RegionTree, StoreOptions
from api.center.store import Store
from edge.envelope import Event
from edge.identifiers import format_uuid7, unix_ms
from tests.support import postgres
from tests.support.center import (
    COMMUNITY,
    DISTRICT,
    GRID,
    KINDS,
    REGIONS,
    START,
    STREET,
    Hands,
    coverage,
    forget,
    gap,
    heartbeat,
    incident,
    new_id,
    open_store,
    receive,
    reopen,
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[Store]:
    with open_store(kind, tmp_path) as opened:
        yield opened


def test_an_incident_becomes_a_case(store: Store) -> None:
    name = new_id()
    outcomes = receive(
        store,
        incident(1, name=name, level=3),
        incident(2, name=name, phase="update", level=3, at=START + timedelta(seconds=5)),
        incident(3, name=name, phase="end", level=3, at=START + timedelta(seconds=9)),
    )
    assert outcomes == [Outcome(True, 1, True, 3), Outcome(True, 1, False, 3), Outcome(True, 1, False, 3)]
    case = store.case(1)
    assert (case.version, case.state, case.level, case.kind) == (1, "REPORTED", 3, "hazard.intrusion")
    assert (case.region, case.told, case.department) == (COMMUNITY, (COMMUNITY,), "public_security")
    assert (case.place.name, case.place.code) == ("北门广场", GRID)
    assert (case.calm, case.incidents, case.event_count) == (True, 1, 3)
    assert (case.first, case.last) == (START, START + timedelta(seconds=9))
    assert case.due == START + timedelta(minutes=30)
    assert case.cameras == ("xihu-07/gate-2",)
    assert [(event.sequence, event.phase) for event in store.events(1)] == [
        (1, "begin"),
        (2, "update"),
        (3, "end"),
    ]
    assert [record.action for record in case.history] == ["open"]
    assert case.history[0].who == "system"
    assert json.loads(case.history[0].detail)["told"] == [COMMUNITY]


def test_what_was_signed_is_kept_as_it_was(store: Store) -> None:
    one = incident(1)
    body = json.dumps(json.loads(one.to_json()), indent=1, ensure_ascii=True).encode()
    store.receive([Received(one, body, "1-0", START)])
    assert store.events(1)[0].body == body


def test_a_duplicate_changes_nothing(store: Store) -> None:
    events = [incident(1), heartbeat(2), incident(3, level=2)]
    assert all(outcome.fresh for outcome in receive(store, *events))
    before = (store.case(1), store.ledger("xihu-07"), store.changes(0, 100))
    assert receive(store, *events, *events) == [Outcome(False)] * 6
    assert (store.case(1), store.ledger("xihu-07"), store.changes(0, 100)) == before


def test_an_event_twice_in_one_batch_counts_once(store: Store) -> None:
    one = incident(1)
    assert [outcome.fresh for outcome in receive(store, one, one)] == [True, False]
    assert store.case(1).event_count == 1


def test_nothing_in_nothing_out(store: Store) -> None:
    assert store.receive([]) == []
    assert store.changes(0, 10) == []
    assert store.stored_through() == {}


# Levels and routes


def test_the_most_severe_level_counts_and_is_routed(store: Store) -> None:
    name = new_id()
    receive(store, incident(1, name=name, level=4))
    assert (store.case(1).region, store.case(1).told) == (GRID, (GRID,))
    receive(
        store, incident(2, name=name, level=1, phase="update"), incident(3, name=name, level=3, phase="end")
    )
    case = store.case(1)
    assert (case.level, case.version, case.region) == (1, 2, STREET)
    assert case.told == (DISTRICT, STREET, GRID)
    assert case.due == START + timedelta(minutes=2)
    assert [(record.action, record.why) for record in case.history][1:] == [("raise", "level 4 became 1")]
    assert [change.what for change in store.changes(0, 9)] == ["opened", "raised"]


def test_a_place_in_no_region_is_the_districts_matter(kind: str, tmp_path: Path) -> None:
    with open_store(kind, tmp_path, regions=RegionTree(REGIONS.regions, DISTRICT)) as store:
        site = {"name": "x", "district": DISTRICT, "grid": "110101001001001"}
        receive(store, incident(1, level=1, site=site))
        assert (store.case(1).region, store.case(1).told) == (DISTRICT, (DISTRICT,))


def test_what_grows_worse_after_its_end_is_a_case_again(store: Store) -> None:
    name = new_id()
    receive(store, incident(1, name=name, level=3))
    store.act(1, 1, "reject", "Li", "a cat", "animal")
    same = receive(store, incident(2, name=name, level=3, phase="update"))
    assert same == [Outcome(True, 1, False, 3)]
    worse = receive(
        store, incident(3, name=name, level=1, phase="update"), incident(4, name=name, phase="end")
    )
    assert worse == [Outcome(True, 2, True, 1), Outcome(True, 2, False, 1)]
    assert store.case(1).state == "REJECTED"
    assert store.case(2).calm


# Merging


def test_neighbouring_incidents_in_the_window_are_one_case(store: Store) -> None:
    later = START + timedelta(seconds=119)
    outcomes = receive(
        store,
        incident(1, camera="a"),
        incident(2, camera="b", at=later, level=2),
        incident(3, camera="c", kind="crowd.density"),
    )
    assert [outcome.case for outcome in outcomes] == [1, 1, 2]
    assert [outcome.opened for outcome in outcomes] == [True, False, True]
    assert receive(store, incident(4, camera="d", at=later + timedelta(seconds=121)))[0].case == 3
    case = store.case(1)
    assert (case.incidents, case.level, case.cameras) == (2, 2, ("xihu-07/a", "xihu-07/b"))
    assert not case.calm


def test_places_by_distance_and_by_list(kind: str, tmp_path: Path) -> None:
    def site(longitude: float) -> dict[str, object]:
        return {"name": "x", "district": DISTRICT, "longitude": longitude, "latitude": 28.68}

    merge = MergeOptions(neighbours=(("n/far", "m/away"),))
    with open_store(kind, tmp_path, merge=merge) as store:
        outcomes = receive(
            store,
            incident(1, node="n", camera="a", site=site(115.9)),
            incident(1, node="m", camera="b", site=site(115.9004)),
            incident(2, node="m", camera="c", site=site(115.9012)),
            incident(2, node="n", camera="far", site={"name": "x", "district": DISTRICT}),
        )
        assert [outcome.case for outcome in outcomes] == [1, 1, 2, 3]
        near = incident(3, node="m", camera="away", site={"name": "x", "district": DISTRICT})
        assert receive(store, near)[0].case == 3


def test_a_case_that_has_ended_takes_nothing_in(store: Store) -> None:
    receive(store, incident(1))
    store.act(1, 1, "void", "Li", "entered twice")
    assert receive(store, incident(2))[0].case == 2


def test_another_nodes_incident_cannot_be_spoken_of(store: Store) -> None:
    name = new_id()
    receive(store, incident(1, node="a", name=name))
    site = {"name": "elsewhere", "district": DISTRICT}
    forged = incident(1, node="b", name=name, phase="end", site=site)
    assert receive(store, forged) == [Outcome(True, 2, True, 3)]
    assert not store.case(1).calm


moments = st.lists(
    st.tuples(st.integers(0, 119), st.sampled_from("abc"), st.integers(1, 4), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=moments, rng=st.randoms(use_true_random=False), cuts=st.sets(st.integers(1, 15)))
def test_incidents_close_to_each_other_are_one_case_in_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    seen: list[tuple[int, str, int, bool]],
    rng: random.Random,
    cuts: set[int],
) -> None:
    events: list[Event] = []
    for number, (second, camera, level, ends) in enumerate(seen):
        name, at = new_id(), START + timedelta(seconds=second)
        events.append(incident(2 * number + 1, camera=camera, name=name, level=level, at=at))
        phase = "end" if ends else "update"
        events.append(incident(2 * number + 2, camera=camera, name=name, level=4, at=at, phase=phase))
    rng.shuffle(events)
    with open_store("sqlite", tmp_path_factory.mktemp("store")) as store:
        for batch in batches(events, cuts):
            receive(store, *batch)
        (case,) = store.cases(CaseQuery())
        assert case.level == min(level for _, _, level, _ in seen)
        assert case.incidents == len(seen)
        assert case.event_count == len(events)
        assert case.calm is all(ends for *_, ends in seen)
        assert case.first == START + timedelta(seconds=min(second for second, *_ in seen))
        assert case.last == START + timedelta(seconds=max(second for second, *_ in seen))
        assert sorted(event.sequence for event in store.events(case.id)) == list(range(1, len(events) + 1))
        assert store.stored_through() == {"xihu-07": len(events)}
        assert store.verify().intact


def batches(events: Sequence[Event], cuts: set[int]) -> list[Sequence[Event]]:
    edges = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    return [events[a:b] for a, b in pairwise(edges) if a < b]


# Accounts


def test_holes_are_told_and_close(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands) as store:
        receive(store, heartbeat(3), heartbeat(7), heartbeat(1, node="b"))
        assert store.holes(3.0, 10) == []
        hands.move(seconds=3)
        assert store.holes(3.0, 10) == [Hole("xihu-07", 1, 2), Hole("xihu-07", 4, 6)]
        assert store.holes(3.0, 1) == [Hole("xihu-07", 1, 2)]
        assert store.stored_through() == {"xihu-07": 0, "b": 1}
        receive(store, incident(1), incident(5), at=hands.now)
        assert [(hole.first, hole.last) for hole in store.holes(3.0, 10)] == [(2, 2), (4, 4), (6, 6)]
        receive(store, gap(8, [(2, 2), (4, 5)]), incident(6), at=hands.now)
        assert store.stored_through() == {"xihu-07": 8, "b": 1}
        ledger = store.ledger("xihu-07")
        assert (ledger.created, ledger.stored, ledger.gaps, ledger.missing) == (8, 6, 2, 0)
        assert store.holes(0.0, 10) == []


def test_a_clock_that_is_set_back_hides_nothing(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands) as store:
        receive(store, heartbeat(3), at=hands.now)
        back = hands.move(hours=-1)
        assert store.holes(3.0, 10) == [Hole("xihu-07", 1, 2)]
        assert store.heard() == {"xihu-07": START}
        receive(store, heartbeat(4), at=back)
        assert store.heard() == {"xihu-07": back}
        receive(store, heartbeat(5), at=back - timedelta(seconds=30))
        assert store.heard() == {"xihu-07": back}


def test_a_number_that_was_given_up_and_came_nevertheless_is_stored(store: Store) -> None:
    receive(store, gap(10, [(1, 9)]))
    receive(store, incident(4), incident(5))
    ledger = store.ledger("xihu-07")
    assert (ledger.stored, ledger.gaps, ledger.through) == (3, 7, 10)


def test_a_number_twice_is_told_of_and_loses_nothing(store: Store) -> None:
    one, other, beat = incident(1), incident(1, camera="b"), heartbeat(1)
    outcomes = receive(store, one, other, beat, beat)
    assert [outcome.fresh for outcome in outcomes] == [True, True, True, False]
    ledger = store.ledger("xihu-07")
    assert (ledger.created, ledger.stored, ledger.repeated) == (1, 1, 2)


steps = st.lists(
    st.integers(1, 30) | st.tuples(st.integers(1, 30), st.integers(0, 9)), min_size=1, max_size=25
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, cuts=st.sets(st.integers(1, 24)), rng=st.randoms(use_true_random=False))
def test_stored_through_is_what_it_says_for_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[int | tuple[int, int]],
    cuts: set[int],
    rng: random.Random,
) -> None:
    events, came, reported = [], set[int](), set[int]()
    known: dict[int, Event] = {}
    for step in steps:
        number = step if isinstance(step, int) else step[0]
        if number not in known:
            named = (number + 1, number + 1 + step[1]) if isinstance(step, tuple) else None
            known[number] = gap(number, [named]) if named else incident(number)
            reported |= set(range(named[0], named[1] + 1)) if named else set()
        came.add(number)
        events.append(known[number])
    rng.shuffle(events)
    through = 0
    while through + 1 in came | reported:
        through += 1
    with open_store("sqlite", tmp_path_factory.mktemp("store")) as store:
        for batch in batches(events, cuts):
            receive(store, *batch)
        ledger = store.ledger("xihu-07")
        assert store.stored_through() == {"xihu-07": through}
        assert ledger.created == max(came | reported)
        assert ledger.stored == len(came)
        assert ledger.gaps == len(reported - came)
        missing = {n for hole in store.holes(-1.0, 1000) for n in range(hole.first, hole.last + 1)}
        assert missing == set(range(1, ledger.created + 1)) - came - reported
        assert len(missing) == ledger.missing


def test_a_node_that_nobody_knows_has_no_account(store: Store) -> None:
    with pytest.raises(NotFoundError, match="no node 'x'"):
        store.ledger("x")


# Clocks


def test_a_skewed_clock_is_told_of_and_not_followed(store: Store) -> None:
    ahead, behind = START + timedelta(hours=2), START - timedelta(days=9)
    events = incident(1, at=ahead), incident(2, camera="b", at=behind), incident(3, at=START)
    receive(store, *events, at=START)
    case = store.case(1)
    events = store.events(1)
    assert [event.clock_skew_s for event in events] == [7200.0, None]
    assert events[0].observed == ahead
    assert case.last == START
    late = store.case(2)
    assert (late.first, store.events(2)[0].clock_skew_s) == (behind, -9 * 86400.0)


# Forgetting


def test_what_was_forgotten_is_still_known_by_its_number(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands, options=StoreOptions(inbox_days=1, events_days=2)) as store:
        old = [incident(1), coverage(2, [ROW])]
        receive(store, *old)
        store.act(1, 1, "void", "Li", "a trial")
        later = hands.move(days=3)
        receive(store, incident(3, camera="b", at=later), at=later)
        forget(store, hands)
        assert store.events(1) == []
        assert len(store.events(2)) == 1
        assert receive(store, *old, at=later) == [Outcome(False)] * 2
        # a node that lost its numbers begins anew, and nothing of it is lost
        assert receive(store, incident(1, at=later), at=later)[0].fresh
        assert store.ledger("xihu-07").repeated == 1


def test_events_of_a_case_that_ends_late_are_forgotten_too(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands, options=StoreOptions(events_days=2)) as store:
        receive(store, incident(1))
        hands.move(days=3)
        forget(store, hands)
        assert len(store.events(1)) == 1
        store.act(1, store.case(1).version, "void", "Li", "a trial")
        hands.move(days=2)
        forget(store, hands)
        assert store.events(1) == []


def test_cases_that_nobody_ends_do_not_gather_where_new_ones_are_looked_for(
    kind: str, tmp_path: Path
) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands) as store:
        lasting = new_id()
        receive(store, incident(1, camera="a", name=lasting), incident(2, camera="b", kind="hazard.fall"))
        hands.move(days=2)
        receive(store, incident(3, camera="a", name=lasting, phase="update", at=hands.now), at=hands.now)
        forget(store, hands)
        # what is still going on is joined; what was quiet for a day is not, even by what comes late
        soon = START + timedelta(seconds=9)
        late = incident(4, camera="c", at=soon), incident(5, camera="c", kind="hazard.fall", at=soon)
        assert [one.case for one in receive(store, *late, at=hands.now)] == [1, 3]
        # and that has just been opened here, so what else comes late joins it
        forget(store, hands)
        another = incident(6, camera="d", kind="hazard.fall", at=soon)
        assert receive(store, another, at=hands.now)[0].case == 3


def test_coverage_of_long_ago_is_forgotten_by_the_hour(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands, options=StoreOptions(covered_days=10)) as store:
        hours = [START + timedelta(hours=k) for k in range(5)]
        receive(store, *(coverage(k + 1, [ROW], at=at) for k, at in enumerate(hours)), at=hours[-1])

        def covered() -> list[float | None]:
            one, quarter = timedelta(minutes=45), timedelta(minutes=15)
            return [store.numbers(at - quarter, at + one).indicators.coverage for at in hours]

        assert covered() == [1.0] * 5
        hands.now = START + timedelta(days=10)
        forget(store, hands)
        store.overdue(hands.now)
        assert covered() == [None, None, 1.0, 1.0, 1.0]


def test_no_clock_makes_a_duplicate_new(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands) as store:
        ahead = START + timedelta(days=365)
        one = incident(1, at=ahead, id_=format_uuid7(unix_ms(ahead), 1))
        receive(store, one, at=START)
        # its key is forgotten, and by a clock a year ahead it is still to come
        hands.move(days=31)
        forget(store, hands)
        assert receive(store, one, at=hands.now) == [Outcome(False)]
        # the centre's clock is ahead for some time, forgets, and is set right
        two = incident(2, camera="b", at=hands.now)
        receive(store, two, at=hands.now)
        hands.move(days=40)
        forget(store, hands)
        hands.move(days=-40)
        assert receive(store, two, at=hands.now) == [Outcome(False)]


def test_nothing_is_forgotten_by_a_clock_that_leaps(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands, options=StoreOptions(changes_days=1)) as store:
        receive(store, incident(1))
        forget(store, hands)
        hands.move(days=2)
        for _ in range(5):
            store.overdue(hands.move(minutes=10))
        assert store.changes(0, 1)[0].id == 1
        hands.move(days=-2)
        forget(store, hands)
        assert store.changes(0, 1)[0].id == 1
        hands.move(days=4)
        forget(store, hands)
        assert store.changes(0, 9) == []


def test_a_node_that_counts_anew_may_send_in_any_order(kind: str, tmp_path: Path) -> None:
    hands = Hands()
    with open_store(kind, tmp_path, hands) as store:
        receive(store, *(incident(k) for k in (1, 2, 3)))
        hands.move(days=31)
        forget(store, hands)
        anew = [incident(k, camera="b", at=hands.now) for k in (1, 2, 3)]
        for one in (anew[2], anew[0], anew[1]):
            assert receive(store, one, at=hands.now)[0].fresh
            assert not receive(store, one, at=hands.now)[0].fresh
        assert store.ledger("xihu-07").repeated == 3


def test_what_is_said_again_is_no_sign_of_life(store: Store) -> None:
    old = [incident(1), heartbeat(2), coverage(3, [ROW]), heartbeat(5)]
    receive(store, *old)
    later = START + timedelta(days=1)
    assert receive(store, *old, at=later) == [Outcome(False)] * 4
    assert store.heard() == {"xihu-07": START}
    store.give_up("xihu-07", 2)
    assert store.heard() == {"xihu-07": START}
    # what was held back until now is new, and so is what comes after the node lost its numbers
    receive(store, heartbeat(4), at=later)
    assert store.heard() == {"xihu-07": later}
    receive(store, heartbeat(1), at=later + timedelta(minutes=1))
    assert store.heard() == {"xihu-07": later + timedelta(minutes=1)}


ROW = {"camera": "gate-2", "tasks": ["crowd.density/plaza"], "ms": {"analysed": {"at_rate": 60_000}}}


def test_a_backup_put_back_lacks_what_came_after_and_takes_it_again(tmp_path: Path) -> None:
    url, copy = f"sqlite:///{tmp_path / 'center.db'}", tmp_path / "copy.db"
    with reopen(url) as store:
        receive(store, incident(1), incident(2))
        with closing(sqlite3.connect(tmp_path / "center.db")) as live, closing(sqlite3.connect(copy)) as kept:
            live.backup(kept)
        after = [incident(3), incident(4), heartbeat(5)]
        receive(store, *after)
    with reopen(f"sqlite:///{copy}") as store:
        assert store.stored_through() == {"xihu-07": 2}
        receive(store, heartbeat(6))
        assert store.holes(0.0, 9) == [Hole("xihu-07", 3, 5)]
        # the node still has the last two of them
        outcomes = receive(store, *after[1:], gap(7, [(3, 3)]))
        assert all(outcome.fresh for outcome in outcomes)
        assert store.stored_through() == {"xihu-07": 7}
        assert store.ledger("xihu-07").gaps == 1
        assert store.verify().intact


# What fails


def test_a_poison_event_takes_nobody_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    good = [incident(1), incident(2, camera="b")]
    absurd = incident(10**19)
    items = [Received(one, one.to_json(), "1-0", START) for one in (good[0], absurd, good[1])]
    with pytest.raises(PoisonError, match="sequence number") as caught:
        store.receive(items)
    assert caught.value.index == 1
    assert store.cases(CaseQuery()) == []
    assert store.stored_through() == {}
    del items[caught.value.index]
    assert [outcome.fresh for outcome in store.receive(items)] == [True, True]


def test_an_event_that_the_database_refuses_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.center.store import desk

    events = [incident(1), incident(2, camera="b"), incident(3, camera="c"), heartbeat(4)]
    real = desk.Desk._add_event

    def breaking(self: desk.Desk, arrival: object, case: object, number: int) -> None:
        real(self, arrival, case, number)  # type: ignore[arg-type]
        if getattr(arrival, "sequence", 0) == 3:
            self._new_events[-1]["body"] = None

    monkeypatch.setattr(desk.Desk, "_add_event", breaking)
    with pytest.raises(PoisonError) as caught:
        receive(store, *events)
    assert caught.value.index == 2
    assert "null" in caught.value.reason.lower()
    assert store.changes(0, 10) == []
    with pytest.raises(PoisonError) as alone:
        receive(store, events[2])
    assert alone.value.index == 0
    assert [outcome.case for outcome in receive(store, events[0], events[1], events[3])] == [1, 1, None]


def test_a_defect_that_shows_in_company_only_stores_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.center.store.reception import Reception

    real = Reception.take

    def fussy(self: Reception, work: object, arrivals: Sequence[object]) -> list[Outcome]:
        if len(arrivals) > 1:
            raise RuntimeError("too many")
        return real(self, work, arrivals)  # type: ignore[arg-type]

    monkeypatch.setattr(Reception, "take", fussy)
    assert [outcome.fresh for outcome in receive(store, incident(1), incident(2))] == [True, True]
    assert store.case(1).event_count == 2


def test_a_database_that_goes_away_in_between_is_nobodys_fault(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.center.store.reception import Reception

    def failing(self: Reception, work: object, arrivals: Sequence[object]) -> list[Outcome]:
        if len(arrivals) > 1:
            raise RuntimeError("too many")
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("the disk is full"))

    monkeypatch.setattr(Reception, "take", failing)
    with pytest.raises(StoreAwayError, match="the disk is full") as caught:
        receive(store, incident(1), incident(2))
    assert "SELECT" not in str(caught.value)


def test_what_fails_at_the_end_of_the_transaction_is_found_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.center.store.work import Work

    real = Work.changed

    def breaking(self: Work, case: int, version: int, what: str, level: int, state: str) -> None:
        real(self, case, version, what, None if case == 2 else level, state)  # type: ignore[arg-type]

    monkeypatch.setattr(Work, "changed", breaking)
    with pytest.raises(PoisonError) as caught:
        receive(store, incident(1), incident(2, kind="crowd.flow"), incident(3))
    assert (caught.value.index, store.changes(0, 9)) == (1, [])


def test_a_right_that_was_revoked_or_a_table_that_is_gone_is_nobodys_fault(store: Store) -> None:
    receive(store, incident(1))
    with store._database._engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE inbox RENAME TO elsewhere")
    with pytest.raises(StoreAwayError, match="inbox"):
        receive(store, incident(2), incident(3))
    with pytest.raises(StoreAwayError, match="inbox"):
        receive(store, incident(2))
    with store._database._engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO inbox")
    assert receive(store, incident(2))[0].fresh


def test_text_that_looks_like_code_is_text(store: Store) -> None:
    nasty = "'; DROP TABLE cases; --<script>alert(1)</script>\0${7*7}%s{x}"
    site = {"name": nasty, "district": DISTRICT}
    receive(store, incident(1, site=site, zone="a-b.c_d"))
    case = store.case(1)
    assert case.place.name == nasty.replace("\0", "\ufffd")
    assert Event.from_json(store.events(1)[0].body).data.site.name == nasty  # type: ignore[union-attr]
    acted = store.act(1, 1, "accept", nasty, nasty)
    assert acted.history[-1].who == acted.history[-1].why == case.place.name
    assert store.verify().intact


def test_a_database_that_is_away_keeps_nothing_and_comes_back(tmp_path: Path) -> None:
    url = postgres.new_database()
    with reopen(url) as store:
        receive(store, incident(1))
        postgres.restart()
        # the pool notices by itself
        receive(store, incident(2))
        assert store.stored_through() == {"xihu-07": 2}
        gone = postgres.new_database()
    with pytest.raises(StoreAwayError, match="test_") as caught:
        reopen(gone.replace("test_", "nobody_made_test_"))
    assert "FATAL" in str(caught.value)


def test_a_locked_or_damaged_file_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    from api.center.store import engine

    monkeypatch.setattr(engine, "BUSY_WAIT_S", 0.05)
    path = tmp_path / "center.db"
    with reopen(f"sqlite:///{path}") as store:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreAwayError, match="locked"):
                receive(store, incident(1))
            other.execute("ROLLBACK")
        other.close()
        assert receive(store, incident(1))[0].fresh
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreAwayError, match="not a database"):
        reopen(f"sqlite:///{path}")
    with pytest.raises(StoreAwayError, match=r"File exists|Not a directory"):
        reopen(f"sqlite:///{path}/below/center.db")


def test_workers_together_lose_and_double_nothing(kind: str, tmp_path: Path) -> None:
    """Several stores on one database take the same events, as after a takeover; one history comes of it."""
    count, workers = 120, 4
    url = f"sqlite:///{tmp_path / 'center.db'}" if kind == "sqlite" else postgres.new_database()
    names = [new_id() for _ in range(6)]
    events = [
        incident(k, camera=f"c{k % 6}", name=names[k % 6], phase="update", level=1 + k % 4, site=SITES[k % 6])
        for k in range(1, count + 1)
    ]
    fresh, failures = [0] * workers, list[Exception]()
    begin = threading.Barrier(workers)

    def work(index: int) -> None:
        rng = random.Random(index)
        own = list(events)
        rng.shuffle(own)
        try:
            with reopen(url) as store:
                begin.wait(30)
                for at in range(0, count, 16):
                    fresh[index] += sum(outcome.fresh for outcome in receive(store, *own[at : at + 16]))
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)
            begin.abort()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not failures
    assert sum(fresh) == count
    with reopen(url) as store:
        cases = store.cases(CaseQuery())
        assert len(cases) == 6
        assert sum(case.event_count for case in cases) == count
        assert {case.level for case in cases} <= {1, 2}
        ledger = store.ledger("xihu-07")
        assert (ledger.stored, ledger.missing, ledger.through) == (count, 0, count)
        verified = store.verify()
        assert verified.intact
        numbers = [change.id for change in store.changes(0, 1000)]
        assert numbers == list(range(1, len(numbers) + 1))


SITES = [{"name": "x", "district": DISTRICT, "grid": f"{DISTRICT}00100100{k}"} for k in range(6)]
