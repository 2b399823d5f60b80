"""Moving a centre from SQLite to PostgreSQL: what it knew, it knows."""

from pathlib import Path

import pytest

from api.center.model import CaseQuery
from deploy.move_center import move
from tests.support.center import START, Hands, gap, heartbeat, incident, receive, reopen
from tests.support.postgres import new_database


def test_a_moved_centre_goes_on_where_it_was(tmp_path: Path) -> None:
    target, source, hands = new_database(), f"sqlite:///{tmp_path / 'center.db'}", Hands()
    with reopen(source, hands) as store:
        key = store.admit("xihu-07", bytes(32), "Li Hua", "installed")
        begun = incident(2, name="01890000-0000-7000-8000-000000000001")
        receive(store, heartbeat(1), begun, gap(5, [(3, 3)]))
        cases, ledger, history = store.cases(CaseQuery()), store.ledger("xihu-07"), store.verify()

    counts = move(source, target)

    assert counts["events"] == counts["nodes"] == counts["keys"] == counts["cases"] == 1
    with reopen(target, hands) as store:
        assert store.keys() == [key]
        assert store.cases(CaseQuery()) == cases
        assert store.ledger("xihu-07") == ledger
        assert (ledger.stored, ledger.gaps, ledger.missing) == (3, 1, 1)
        assert store.verify() == history
        # the same again is known; what is new finds its case, and numbers of rows go on
        ended = incident(6, name="01890000-0000-7000-8000-000000000001", phase="end", at=START)
        other = incident(7, camera="gate-3", kind="hazard.fall", site={"name": "x", "district": "360103"})
        assert [outcome.fresh for outcome in receive(store, begun, ended, other)] == [False, True, True]
        assert store.verify().intact


def test_nothing_is_moved_into_a_database_in_use(tmp_path: Path) -> None:
    target, source = new_database(), f"sqlite:///{tmp_path / 'center.db'}"
    for url in (source, target):
        with reopen(url) as store:
            receive(store, heartbeat(1))

    with pytest.raises(ValueError, match="empty database"):
        move(source, target)
