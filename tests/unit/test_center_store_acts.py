"""What people do with cases, deadlines, surge mode, feedback, keys and the history, in both databases."""

import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.center.errors import ConflictError, IllegalError, LayoutError, NotFoundError
from api.center.lifecycle import Action, State
from api.center.model import Case, CaseQuery, Region, RegionTree
from api.center.store import Store
from api.center.store.engine import parse_url
from api.center.store.keys import key_id
from tests.support import postgres
from tests.support.center import (
    COMMUNITY,
    DISTRICT,
    GRID,
    KINDS,
    START,
    STREET,
    Hands,
    incident,
    open_store,
    receive,
    reopen,
)

WAY = ("accept", "dispatch", "handle", "report_back", "verify", "close")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def store(kind: str, tmp_path: Path, hands: Hands) -> Iterator[Store]:
    with open_store(kind, tmp_path, hands) as opened:
        receive(opened, incident(1, name="01990000-0000-7000-8000-000000000001"))
        yield opened


def go(store: Store, *actions: str, case: int = 1, cause: str | None = None) -> Case:
    """Act, each time on what is there now."""
    done = store.case(case)
    for action in actions:
        why = "so the table wants"
        done = store.act(
            case, done.version, Action(action), "Li Hua", why, cause if action == "reject" else None
        )
    return done


# Acts


def test_each_act_is_in_the_history_with_who_when_and_why(store: Store, hands: Hands) -> None:
    hands.move(minutes=1)
    case = store.act(1, 1, Action.ACCEPT, "  Li Hua ", "seen on the screen")
    assert (case.state, case.version) == (State.ACCEPTED, 2)
    assert case == store.case(1)
    record = case.history[-1]
    assert (record.who, record.why, record.at) == ("Li Hua", "seen on the screen", hands.now)
    assert (record.action, record.before, record.after) == ("accept", "REPORTED", "ACCEPTED")
    assert case.due == hands.now + timedelta(minutes=30)


def test_an_edit_of_an_older_version_conflicts(store: Store) -> None:
    go(store, "accept")
    with pytest.raises(ConflictError, match="version is 2 now") as caught:
        store.act(1, 1, Action.DISPATCH, "Wang", "me too")
    assert caught.value.current == 2
    assert store.case(1).state is State.ACCEPTED


def test_of_concurrent_edits_one_wins(store: Store) -> None:
    begin, won, lost = threading.Barrier(4), list[int](), list[int]()

    def edit(index: int) -> None:
        begin.wait(20)
        try:
            store.act(1, 1, Action.ACCEPT, f"clerk {index}", "mine")
            won.append(index)
        except ConflictError as error:
            lost.append(error.current)

    threads = [threading.Thread(target=edit, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 1
    assert lost == [2, 2, 2]
    assert store.case(1).history[-1].who == f"clerk {won[0]}"


def test_what_is_illegal_changes_nothing(store: Store) -> None:
    before = store.case(1)
    for action, who, why, cause in (
        (Action.CLOSE, "Li", "done", None),
        (Action.ACCEPT, "", "why", None),
        (Action.ACCEPT, "Li", " ", None),
        (Action.ACCEPT, "Li", "x" * 2001, None),
        (Action.REJECT, "Li", "nothing there", None),
        (Action.REJECT, "Li", "nothing there", "martians"),
        (Action.ACCEPT, "Li", "why", "animal"),
    ):
        with pytest.raises(IllegalError):
            store.act(1, 1, action, who, why, cause)
    with pytest.raises(NotFoundError, match="no case 2"):
        store.act(2, 1, Action.ACCEPT, "Li", "why")
    with pytest.raises(NotFoundError, match="no case 2"):
        store.case(2)
    assert store.case(1) == before


def test_while_an_act_is_answered_others_may_write(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.case

    def slow(self: Store, case_id: int) -> Case:
        assert receive(self, incident(2, camera="b"))[0].case == 1
        return real(self, case_id)

    monkeypatch.setattr(Store, "case", slow)
    assert store.act(1, 1, Action.ACCEPT, "Li", "mine").event_count == 2


def test_a_suspension_stops_the_clock(store: Store, hands: Hands) -> None:
    go(store, "accept")
    hands.move(minutes=10)
    suspended = go(store, "suspend")
    assert (suspended.standing.suspended_from, suspended.due) == (State.ACCEPTED, None)
    hands.move(days=30)
    assert store.overdue(hands.now) == []
    resumed = go(store, "resume")
    assert (resumed.state, resumed.due) == (State.ACCEPTED, hands.now + timedelta(minutes=20))
    hands.move(minutes=5)
    go(store, "dispatch")
    numbers = store.numbers(START, hands.now + timedelta(seconds=1))
    assert {time.stage: time.p50_s for time in numbers.stages}[State.ACCEPTED] == 15 * 60


def test_flags_are_beside_the_state(store: Store) -> None:
    case = go(store, "supervise", "escalate", "accept")
    assert (case.state, case.standing.supervised, case.standing.escalated) == (State.ACCEPTED, True, True)
    assert (case.region, case.told) == (STREET, (STREET, COMMUNITY))
    assert not go(store, "release").standing.supervised
    assert [change.what for change in store.changes(1, 9)] == ["acted", "escalated", "acted", "acted"]


# Deadlines


def test_a_missed_deadline_escalates_once_and_one_region_up(store: Store, hands: Hands) -> None:
    due = START + timedelta(minutes=30)
    assert store.overdue(due) == []
    (case,) = store.overdue(hands.move(minutes=31))
    assert (case.region, case.standing.escalated, case.late, case.missed) == (STREET, True, True, 1)
    assert store.overdue(hands.move(days=9)) == []
    record = store.case(1).history[-1]
    assert (record.who, record.action) == ("system", "escalate")
    assert record.why == "the deadline of REPORTED passed at 2026-11-22T08:45:00.000Z"
    assert json.loads(record.detail) == {"from": COMMUNITY, "to": STREET}
    # the next stage has a deadline of its own, and the top of the tree is the end of the way
    assert not go(store, "accept").late
    assert [one.region for one in store.overdue(hands.move(days=1))] == [DISTRICT]
    go(store, "dispatch")
    (top,) = store.overdue(hands.move(days=1))
    assert (top.region, top.missed) == (DISTRICT, 3)


def test_without_a_list_of_regions_a_deadline_is_missed_all_the_same(kind: str, tmp_path: Path) -> None:
    with open_store(kind, tmp_path, regions=RegionTree()) as store:
        receive(store, incident(1, level=1))
        (case,) = store.overdue(START + timedelta(hours=1))
        assert (case.region, case.told, case.missed) == (DISTRICT, (DISTRICT,), 1)


def test_growing_worse_makes_it_due_sooner_but_never_later(store: Store, hands: Hands) -> None:
    hands.move(minutes=4)
    name = "01990000-0000-7000-8000-000000000001"
    receive(store, incident(2, name=name, phase="update", level=2), at=hands.now)
    assert store.case(1).due == START + timedelta(minutes=5)
    go(store, "accept", "suspend")
    receive(store, incident(3, name=name, phase="update", level=1), at=hands.now)
    assert go(store, "resume").due == hands.now + timedelta(minutes=3)


def test_a_deadline_that_was_missed_stays_as_it_is(store: Store, hands: Hands) -> None:
    name = "01990000-0000-7000-8000-000000000001"
    store.overdue(hands.move(hours=1))
    receive(store, incident(2, name=name, phase="update", level=1), at=hands.now)
    case = store.case(1)
    assert (case.late, case.due) == (True, START + timedelta(minutes=30))
    assert (case.region, case.told) == (STREET, (DISTRICT, STREET, COMMUNITY))


def test_time_in_suspension_belongs_to_no_stage(store: Store, hands: Hands) -> None:
    go(store, "accept")
    hands.move(minutes=7)
    go(store, "suspend")
    hands.move(days=2)
    go(store, "void")
    numbers = store.numbers(START, hands.now + timedelta(seconds=1))
    assert {time.stage: time.p50_s for time in numbers.stages} == {State.REPORTED: 0, State.ACCEPTED: 7 * 60}


# Surge mode and feedback


def test_surge_halves_deadlines_and_tells_all_nodes(store: Store, hands: Hands) -> None:
    assert not store.in_surge()
    store.surge(on=True, who="Zhao", why="spring festival")
    assert store.in_surge()
    assert go(store, "accept").due == hands.now + timedelta(minutes=15)
    store.surge(on=False, who="Zhao", why="it is over")
    messages = [json.loads(message.body) for message in store.verdicts_due()]
    time = "2026-11-22T08:15:00.000Z"
    assert messages == [
        {"node": "*", "kind": "profile", "profile": "surge", "time": time},
        {"node": "*", "kind": "profile", "profile": "usual", "time": time},
    ]
    assert [record.action for record in store.history(0, 9)] == ["open", "surge", "accept", "surge"]
    with pytest.raises(IllegalError, match="why"):
        store.surge(on=True, who="Zhao", why="")


def test_a_verdict_goes_to_the_nodes_of_all_incidents(store: Store, hands: Hands) -> None:
    receive(store, incident(1, node="b", camera="yard", zone="door"))
    rejected = go(store, "accept", "reject", cause="animal")
    assert (rejected.verdict, rejected.cause, rejected.due) == (False, "animal", None)
    due = store.verdicts_due()
    bodies = {message.node: json.loads(message.body) for message in due}
    assert bodies["xihu-07"] == {
        "node": "xihu-07",
        "kind": "verdict",
        "incident": "01990000-0000-7000-8000-000000000001",
        "camera": "gate-2",
        "rule": "hazard.intrusion/platform",
        "verdict": "false",
        "cause": "animal",
        "time": "2026-11-22T08:15:00.000Z",
    }
    assert (bodies["b"]["camera"], bodies["b"]["rule"]) == ("yard", "hazard.intrusion/door")
    store.verdicts_sent([due[0].id])
    assert store.verdicts_due() == due[1:]
    store.verdicts_sent([])
    store.verdicts_sent([message.id for message in due])
    assert store.verdicts_due() == []


def test_closing_is_a_true_verdict_and_voiding_none(store: Store) -> None:
    closed = go(store, *WAY)
    assert (closed.state, closed.verdict, closed.cause) == (State.CLOSED, True, None)
    assert "cause" not in json.loads(store.verdicts_due()[0].body)
    receive(store, incident(2))
    assert go(store, "void", case=2).verdict is None
    assert len(store.verdicts_due()) == 1


# Looking


def test_cases_are_found_by_what_they_are(store: Store, hands: Hands) -> None:
    other = {"name": "y", "district": DISTRICT, "grid": "360103002001001"}
    hands.move(minutes=1)
    receive(
        store,
        incident(2, camera="b", kind="crowd.density", level=1),
        incident(3, camera="c", kind="crowd.flow", level=2, site=other),
    )
    go(store, "void")

    def found(**query: object) -> list[int]:
        return [case.id for case in store.cases(CaseQuery(**query))]  # type: ignore[arg-type]

    assert found() == [3, 2, 1]
    assert found(limit=1) == [3]
    assert found(before=3, limit=1) == [2]
    assert found(open=True) == [3, 2]
    assert found(open=False) == [1]
    assert found(states=frozenset({State.VOIDED, State.CLOSED})) == [1]
    assert found(states=frozenset({State.VOIDED}), open=True) == []
    assert found(levels=frozenset({1, 3})) == [2, 1]
    assert found(kind="crowd") == [3, 2]
    assert found(kind="crowd.flow") == [3]
    assert found(kind="crowd%") == []
    assert found(within=STREET) == [2, 1]
    assert found(within=GRID) == [2, 1]
    assert found(region=STREET) == [2]
    assert found(department="public_security") == [1]
    assert found(calm=True) == []
    assert found(late=False, escalated=False, supervised=False, calm=False) == [3, 2, 1]
    assert found(since=hands.now) == [3, 2]
    assert found(until=hands.now) == [1]
    with pytest.raises(ValueError, match="limit"):
        CaseQuery(limit=0)


def test_changes_are_told_in_order(store: Store) -> None:
    go(store, "accept")
    receive(store, incident(2))
    changes = store.changes(0, 10)
    assert [(change.id, change.case, change.what, change.version) for change in changes] == [
        (1, 1, "opened", 1),
        (2, 1, "acted", 2),
        (3, 1, "event", 2),
    ]
    assert changes[1].state is State.ACCEPTED
    assert store.changes(1, 1) == changes[1:2]
    assert store.last_change() == 3


SCAN = re.compile(r"SCAN (cases|covered|incidents|stages|events|history)")


@pytest.mark.parametrize(
    "query", [CaseQuery(), CaseQuery(open=True), CaseQuery(open=True, before=9), CaseQuery(region=STREET)]
)
def test_what_is_asked_often_reads_no_whole_table(tmp_path: Path, query: CaseQuery) -> None:
    asked: list[tuple[str, object]] = []
    with open_store("sqlite", tmp_path) as store:
        engine = store._database._engine

        @sa.event.listens_for(engine, "before_cursor_execute")
        def note(_c: object, _k: object, statement: str, parameters: object, *_more: object) -> None:
            asked.append((statement, parameters))

        store.cases(query)
        store.numbers(START, START + timedelta(days=1))
        with engine.connect() as connection:
            for statement, parameters in [one for one in asked if one[0].startswith("SELECT")]:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()  # type: ignore[arg-type]
                steps = [step.detail for step in plan]
                if "FROM cases" in statement and "count(" not in statement:
                    assert not any("TEMP B-TREE" in step for step in steps), (statement, steps)
                    assert query.open is None or "ix_cases_ended_ms (ended_ms=?" in steps[0], steps
                else:
                    assert not any(SCAN.match(step) for step in steps), (statement, steps)
    assert len(asked) > 8


# Keys


def test_keys_are_admitted_and_revoked_for_good(store: Store, hands: Hands) -> None:
    public, other = bytes(range(32)), bytes(32)
    key = store.admit("xihu-07", public, "Zhao")
    assert (key.id, key.node, key.admitted, key.revoked) == (key_id(public), "xihu-07", START, None)
    hands.move(days=1)
    assert store.admit("xihu-07", public, "Qian") == key
    store.admit("new-node", other, "Zhao", "commissioned")
    assert store.keys("xihu-07") == {key.id: public}
    with pytest.raises(IllegalError, match="another node"):
        store.admit("new-node", public, "Zhao")
    revoked = store.revoke("xihu-07", key.id, "Zhao", "stolen")
    assert (revoked.revoked, revoked.revoked_by) == (hands.now, "Zhao")
    assert store.revoke("xihu-07", key.id, "Qian") == revoked
    assert store.keys("xihu-07") == {}
    keys = store.keys()
    assert [(one.id, one.revoked) for one in keys] == [(key.id, hands.now), (key_id(other), None)]
    with pytest.raises(IllegalError, match="was revoked"):
        store.admit("xihu-07", public, "Zhao")
    with pytest.raises(NotFoundError):
        store.revoke("new-node", key.id, "Zhao")
    for impossible in ("Gate 7", "", ".x", "a" * 64, "gate-7\n"):
        with pytest.raises(IllegalError, match=r"give node.id of its configuration"):
            store.admit(impossible, other, "Zhao")
    with pytest.raises(ValueError, match="32 bytes"):
        store.admit("xihu-07", b"short", "Zhao")
    assert [record.action for record in store.history(1, 9)] == ["admit", "admit", "revoke"]
    assert "new-node" not in store.heard()


# The history


def run_sql(kind: str, store: Store, *statements: str) -> None:
    """As somebody would who has got hold of the database."""
    engine = store._database._engine
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


DROP = {
    "sqlite": ("DROP TRIGGER history_refuses_update", "DROP TRIGGER history_refuses_delete"),
    "postgresql": ("DROP TRIGGER history_refuses ON history",),
}


def test_the_database_refuses_to_change_the_history(kind: str, store: Store) -> None:
    attempts = ["UPDATE history SET why = 'x'", "DELETE FROM history"]
    if kind == "postgresql":
        attempts.append("TRUNCATE history")
    for attempt in attempts:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            run_sql(kind, store, attempt)
    assert store.verify().intact


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE history SET why = 'so the table wantz' WHERE id = 3", 3),
        ("UPDATE history SET who = 'Li Hua ' WHERE id = 2", 2),
        ("UPDATE history SET at_ms = at_ms + 1 WHERE id = 1", 1),
        ("UPDATE history SET case_id = NULL WHERE id = 4", 4),
        ("UPDATE history SET detail = '{ }' WHERE id = 2", 2),
        ("UPDATE history SET before = 'ACCEPTED' WHERE id = 2", 2),
        ("UPDATE history SET hash = upper(hash) WHERE id = 4", 4),
        ("DELETE FROM history WHERE id = 2", 2),
        ("DELETE FROM history WHERE id = 4", 4),
        ("UPDATE chain SET head = 'f' || head", 4),
        ("UPDATE chain SET history = 3", 4),
    ],
)
def test_whoever_gets_round_that_is_found_out(kind: str, store: Store, change: str, broken: int) -> None:
    go(store, "accept", "dispatch", "handle")
    verified = store.verify()
    assert (verified.rows, verified.first_broken) == (4, None)
    run_sql(kind, store, *DROP[kind], change)
    assert store.verify().first_broken == broken


def test_any_changed_byte_of_the_file_is_found(tmp_path: Path) -> None:
    """A disk or an editor may leave what is no text any more."""
    path = tmp_path / "center.db"
    with reopen(f"sqlite:///{path}") as store:
        receive(store, incident(1, level=2))
        go(store, "accept")
    with sqlite3.connect(path) as database:
        for trigger in DROP["sqlite"]:
            database.execute(trigger)
        rows = database.execute("SELECT id, who, action, why, detail, hash FROM history").fetchall()
        for id_, *texts in rows:
            for column, text in zip(("who", "action", "why", "detail", "hash"), texts, strict=True):
                for at in range(0, len(text), 7):
                    raw = bytearray(text.encode())
                    raw[at] ^= 0x80
                    change = f"UPDATE history SET {column} = CAST(? AS TEXT) WHERE id = ?"  # noqa: S608
                    database.execute(change, (bytes(raw), id_))
                    database.commit()
                    with reopen(f"sqlite:///{path}") as store:
                        assert store.verify().first_broken == id_
                    database.execute(change, (text.encode(), id_))
        database.commit()
    database.close()
    with reopen(f"sqlite:///{path}") as store:
        assert store.verify().intact


# Opening


def test_what_was_stored_is_there_after_a_restart(kind: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a b%20c' / 'center.db'}" if kind == "sqlite" else postgres.new_database()
    with reopen(url) as store:
        receive(store, incident(1))
        before = go(store, "accept")
        store.close()
    with reopen(url) as store:
        assert store.case(1) == before
        assert receive(store, incident(2))[0].case == 1


def test_the_layout_is_that_of_the_tables(kind: str, store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from api.center.schema import metadata

    with store._database._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_layout_of_a_newer_version_is_refused(kind: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'center.db'}" if kind == "sqlite" else postgres.new_database()
    with reopen(url) as store:
        run_sql(kind, store, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(LayoutError, match="newer version"):
        reopen(url)


def test_databases_of_other_kinds_are_refused_without_quoting_secrets() -> None:
    for wrong in ("mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "secret"):
        with pytest.raises(ValueError, match=r"sqlite|SQLite") as caught:
            parse_url(wrong)
        assert "secret" not in str(caught.value)
    assert parse_url("postgresql://u@h/d").drivername == "postgresql+psycopg"


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "center.db"
    reopen(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_region_added_later_is_used(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'center.db'}"
    with reopen(url, regions=RegionTree((Region(DISTRICT, "d"),))) as store:
        receive(store, incident(1))
        assert store.case(1).region == DISTRICT
    with reopen(url) as store:
        receive(
            store, incident(2, site={"name": "x", "district": DISTRICT, "grid": GRID}, kind="hazard.fall")
        )
        assert store.case(2).region == COMMUNITY
