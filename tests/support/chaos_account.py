"""What a node says that it created, against what the centre has: nothing lost, doubled or out of order.

The node's account is written after each append. A kill in between hides the events of one append of each
thread that appends: their numbers are known by what the outbox says at the next start, their content is not.
So created is what the account says and, of numbers that only the outbox tells of, as many as kills explain.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from api.center.config import CenterConfig
from api.center.opening import open_store
from tests.support.chaos_node import BATCH, PHASES

HIDDEN_BY_A_KILL = BATCH + 3
"""An append of the producer, a heartbeat, and reports of gaps for two reasons."""

_ORDER = {phase: n for n, phase in enumerate(dict.fromkeys(PHASES))}


class Made(NamedTuple):
    """An event as its node accounted for it."""

    sequence: int
    id: str
    kind: str
    incident: str
    phase: str


@dataclass
class Account:
    """What the node's process wrote.

    Attributes:
        made: by sequence number.
        opened: the outbox's last number at each start.
        end: its last number when all was receipted; None while it is not.
        torn: lines cut off by kills.
    """

    made: dict[int, Made] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)
    end: int | None = None
    torn: int = 0

    @classmethod
    def read(cls, path: Path) -> "Account":
        account = cls()
        for line in path.read_bytes().splitlines():
            if not line:
                continue
            try:
                said = json.loads(line)
            except ValueError:
                account.torn += 1
                continue
            account.end = said.get("end", account.end)
            if "opened" in said:
                account._check_opening(said["opened"])
            for row in said.get("created", ()):
                made = Made(*row)
                assert made.sequence not in account.made, f"number {made.sequence} was given twice"
                account.made[made.sequence] = made
        return account

    def _check_opening(self, number: int) -> None:
        known = max(self.made, default=0)
        assert number >= known, f"the outbox has forgotten {known - number} committed events"
        self.opened.append(number)


@dataclass
class Stored:
    """What the centre's database holds of one node."""

    ledger: Any
    lost: list[tuple[int, int]]
    inbox: list[tuple[str, str]]
    events: list[Made]
    intact: bool

    @classmethod
    def read(cls, config: CenterConfig, node: str) -> "Stored":
        store = open_store(config)
        try:
            ledger, intact = store.ledger(node), store.verify().intact
        finally:
            store.close()
        engine = sa.create_engine(config.database_url)
        try:
            with engine.connect() as connection:

                def rows(sql: str) -> list[Any]:
                    return [tuple(row) for row in connection.execute(sa.text(sql), {"node": node})]

                return cls(ledger, rows(_LOST), rows(_INBOX), [Made(*row) for row in rows(_EVENTS)], intact)
        finally:
            engine.dispose()


_LOST = """SELECT first, last FROM lost JOIN nodes ON nodes.id = lost.node_id
WHERE nodes.node = :node ORDER BY first"""
_INBOX = """SELECT source, id FROM inbox
WHERE source = '/nodes/' || :node OR source LIKE '/nodes/' || :node || '/%'"""
_EVENTS = """SELECT events.sequence, events.id, cases.kind, events.incident, events.phase
FROM events JOIN cases ON cases.id = events.case_id JOIN nodes ON nodes.id = events.node_id
WHERE nodes.node = :node ORDER BY events.sequence"""


def check(account: Account, stored: Stored, kills: int) -> dict[str, int]:
    """Hold the two against each other; returns the figures."""
    ledger, lost = stored.ledger, set(_numbers(stored.lost))
    assert account.end is not None, "the node did not end by itself"
    assert account.torn <= kills
    assert ledger.created == account.end
    assert (ledger.missing, ledger.repeated, ledger.through) == (0, 0, account.end)
    assert ledger.gaps == len(lost)
    assert ledger.stored + len(lost) == account.end
    hidden = set(range(1, account.end + 1)) - account.made.keys()
    assert len(hidden) <= kills * HIDDEN_BY_A_KILL, f"{len(hidden)} numbers are in no account"
    assert max(account.made) <= account.end
    _check_inbox(account, stored, lost, hidden)
    _check_events(account, stored, lost, hidden)
    assert stored.intact
    return {
        "created": account.end,
        "stored": ledger.stored,
        "gaps": ledger.gaps,
        "hidden": len(hidden),
        "kills": kills,
    }


def _check_inbox(account: Account, stored: Stored, lost: set[int], hidden: set[int]) -> None:
    ids = Counter(id_ for _, id_ in stored.inbox)
    assert not [id_ for id_, times in ids.items() if times > 1]
    # heartbeats are known by their numbers alone
    wanted = {made.id: n for n, made in account.made.items() if made.kind != "node.heartbeat"}
    absent = {n for id_, n in wanted.items() if id_ not in ids}
    assert absent <= lost, f"neither stored nor reported: {sorted(absent - lost)[:20]}"
    assert not {n for id_, n in wanted.items() if id_ in ids} & lost
    strange = ids.keys() - wanted.keys()
    assert len(strange) <= len(hidden - lost), f"{len(strange)} events that nobody made"


def _check_events(account: Account, stored: Stored, lost: set[int], hidden: set[int]) -> None:
    """Events of cases: each number once, and the event that the node gave it to."""
    numbers = [event.sequence for event in stored.events]
    assert len(set(numbers)) == len(numbers), "an event is in two cases, or twice in one"
    of_cases = {n for n, made in account.made.items() if made.incident}
    assert of_cases - lost <= set(numbers)
    assert set(numbers) - of_cases <= hidden
    for event in stored.events:
        if event.sequence in account.made:
            assert event == account.made[event.sequence]


def check_order(cases: Sequence[dict[str, Any]], stored: Stored, node: str) -> None:
    """Cases as the REST interface shows them: each in its node's order, and together all that is stored."""
    shown: list[int] = []
    for case in cases:
        own = [event for event in case["events"] if event["node"] == node]
        numbers = [event["sequence"] for event in own]
        assert numbers == sorted(numbers), f"case {case['id']} is out of order"
        shown += numbers
        last: dict[str, int] = {}
        for event in own:
            phase = _ORDER[event["phase"]]
            assert phase >= last.get(event["incident"], 0), f"incident {event['incident']} is out of order"
            last[event["incident"]] = phase
    assert sorted(shown) == [event.sequence for event in stored.events]


def _numbers(spans: Iterable[tuple[int, int]]) -> Iterable[int]:
    for first, last in spans:
        yield from range(first, last + 1)
