"""The first layout: accounts of nodes, inbox, cases with their history, feedback, coverage."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_COUNTERS = ("nodes", "cases", "events", "changes", "feedback", "history")
_REFUSED = "the history is append-only"


def upgrade() -> None:
    """Make all tables, and the triggers that keep the history as it is."""
    for make in (_accounts, _cases, _case_parts, _history, _outgoing):
        make()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()
    op.bulk_insert(
        sa.table("chain", *(sa.column(name) for name in ("id", *_COUNTERS, "head", "surge"))),
        [{"id": 1, **dict.fromkeys(_COUNTERS, 0), "head": "0" * 64, "surge": False}],
    )


def _must(name: str, kind: Any, *more: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False, **options)


def _may(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _accounts() -> None:
    op.create_table(
        "chain",
        _must("id", sa.Integer, autoincrement=False),
        *(_must(name, Number) for name in _COUNTERS),
        _must("head", sa.Text),
        _must("surge", sa.Boolean),
        sa.PrimaryKeyConstraint("id", name="pk_chain"),
    )
    op.create_table(
        "nodes",
        _must("id", Number, autoincrement=False),
        _must("node", sa.Text),
        *(_must(name, Number) for name in ("top", "through", "stored", "gone", "repeated")),
        _may("heard_ms", Number),
        *(_must(name, sa.Text) for name in ("newest", "forgotten")),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
        sa.UniqueConstraint("node", name="uq_nodes_node"),
    )
    op.create_table(
        "keys",
        _must("key", sa.Text),
        _must("node_id", Number),
        _must("public", sa.LargeBinary),
        _must("admitted_ms", Number),
        _must("admitted_by", sa.Text),
        _may("revoked_ms", Number),
        _may("revoked_by", sa.Text),
        sa.PrimaryKeyConstraint("key", name="pk_keys"),
        _refers("keys", "node_id", "nodes"),
    )
    op.create_index("ix_keys_node_id", "keys", ["node_id"])
    op.create_table(
        "holes",
        _must("node_id", Number),
        _must("first", Number, autoincrement=False),
        _must("last", Number),
        _must("since_ms", Number),
        sa.PrimaryKeyConstraint("node_id", "first", name="pk_holes"),
        _refers("holes", "node_id", "nodes"),
    )
    op.create_table(
        "lost",
        _must("node_id", Number),
        _must("first", Number, autoincrement=False),
        _must("last", Number),
        sa.PrimaryKeyConstraint("node_id", "first", name="pk_lost"),
        _refers("lost", "node_id", "nodes"),
    )
    op.create_table(
        "inbox",
        _must("n", Number, autoincrement=False),
        _must("source", sa.Text),
        _must("id", sa.Text),
        _must("received_ms", Number),
        sa.PrimaryKeyConstraint("n", name="pk_inbox"),
        sa.UniqueConstraint("id", "source", name="uq_inbox_id_source"),
    )


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")


def _cases() -> None:
    op.create_table(
        "cases",
        _must("id", Number, autoincrement=False),
        _must("version", Number),
        _must("state", sa.Text),
        _may("suspended_from", sa.Text),
        _must("escalated", sa.Boolean),
        _must("supervised", sa.Boolean),
        _must("kind", sa.Text),
        _must("category", sa.Text),
        _must("department", sa.Text),
        _must("level", sa.SmallInteger),
        *(_must(name, sa.Text) for name in ("region", "told", "place", "code")),
        _may("longitude", sa.Double),
        _may("latitude", sa.Double),
        _must("opened_ms", Number),
        _may("ended_ms", Number),
        *(_must(name, Number) for name in ("first_ms", "last_ms", "stage_ms", "spent_ms")),
        _may("due_ms", Number),
        _may("left_ms", Number),
        _must("late", sa.Boolean),
        *(_must(name, sa.Integer) for name in ("missed", "active", "incidents", "events")),
        _may("verdict", sa.Boolean),
        _may("cause", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_cases"),
    )
    op.create_index("ix_cases_opened_ms", "cases", ["opened_ms"])
    op.create_index("ix_cases_state", "cases", ["state", "id"])
    op.create_index("ix_cases_code", "cases", ["code", "id"])
    op.create_index("ix_cases_ended_ms", "cases", ["ended_ms", "id"])
    in_time = sa.column("late", sa.Boolean) == sa.false()
    op.create_index("ix_cases_due_ms", "cases", ["due_ms"], sqlite_where=in_time, postgresql_where=in_time)


def _case_parts() -> None:
    op.create_table(
        "incidents",
        _must("incident", sa.Text),
        _must("node_id", Number),
        _must("case_id", Number),
        *(_must(name, sa.Text) for name in ("camera", "kind", "zone")),
        _must("ended", sa.Boolean),
        _may("verdict", sa.Boolean),
        _may("cause", sa.Text),
        _may("verdict_ms", Number),
        sa.PrimaryKeyConstraint("incident", "node_id", name="pk_incidents"),
        _refers("incidents", "case_id", "cases"),
        _refers("incidents", "node_id", "nodes"),
    )
    op.create_index("ix_incidents_case_id", "incidents", ["case_id"])
    op.create_index("ix_incidents_verdict_ms", "incidents", ["verdict_ms"])
    op.create_table(
        "events",
        _must("n", Number, autoincrement=False),
        *(_must(name, Number) for name in ("case_id", "node_id", "sequence")),
        *(_must(name, sa.Text) for name in ("id", "incident", "phase")),
        _must("level", sa.SmallInteger),
        _must("observed_ms", Number),
        _must("received_ms", Number),
        _may("skew_ms", Number),
        _must("body", sa.LargeBinary),
        sa.PrimaryKeyConstraint("n", name="pk_events"),
        _refers("events", "case_id", "cases"),
        _refers("events", "node_id", "nodes"),
    )
    op.create_index("ix_events_case_id", "events", ["case_id", "node_id", "sequence", "n"])
    op.create_table(
        "marks",
        _must("n", Number),
        _must("key", sa.Text),
        _must("case_id", Number),
        _may("longitude", sa.Double),
        _may("latitude", sa.Double),
        sa.PrimaryKeyConstraint("n", name="pk_marks"),
        _refers("marks", "case_id", "cases"),
    )
    op.create_index("ix_marks_key", "marks", ["key"])
    op.create_index("ix_marks_case_id", "marks", ["case_id"])
    op.create_table(
        "stages",
        _must("history_id", Number, autoincrement=False),
        _must("case_id", Number),
        _must("stage", sa.Text),
        _must("ended_ms", Number),
        _must("spent_ms", Number),
        _must("late", sa.Boolean),
        sa.PrimaryKeyConstraint("history_id", name="pk_stages"),
        _refers("stages", "case_id", "cases"),
    )
    op.create_index("ix_stages_stage_ended_ms", "stages", ["stage", "ended_ms"])


def _history() -> None:
    op.create_table(
        "history",
        _must("id", Number, autoincrement=False),
        _may("case_id", Number),
        _must("at_ms", Number),
        _must("who", sa.Text),
        _must("action", sa.Text),
        _may("before", sa.Text),
        _may("after", sa.Text),
        *(_must(name, sa.Text) for name in ("why", "detail", "hash")),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
        _refers("history", "case_id", "cases"),
    )
    op.create_index("ix_history_case_id", "history", ["case_id"])


def _outgoing() -> None:
    op.create_table(
        "changes",
        _must("id", Number, autoincrement=False),
        *(_must(name, Number) for name in ("at_ms", "case_id", "version")),
        _must("what", sa.Text),
        _must("level", sa.SmallInteger),
        _must("state", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
    )
    op.create_table(
        "feedback",
        _must("id", Number, autoincrement=False),
        _must("node", sa.Text),
        _must("body", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_table(
        "covered",
        _must("node_id", Number),
        _must("hour", sa.Integer, autoincrement=False),
        *(_must(name, Number) for name in ("analysed_ms", "degraded_ms", "blind_ms", "camera_ms")),
        sa.PrimaryKeyConstraint("node_id", "hour", name="pk_covered"),
        _refers("covered", "node_id", "nodes"),
    )
    op.create_index("ix_covered_hour", "covered", ["hour"])


def _guard_sqlite() -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER history_refuses_{act.lower()} BEFORE {act} ON history"
            f" BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION history_refuses() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER history_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON history"
        " FOR EACH STATEMENT EXECUTE FUNCTION history_refuses()"
    )
