"""The tables. They say the same as the migrations; a test holds the two together.

Times are milliseconds since 1970. Numbers of rows are given out under the lock of `chain`, so that they have
no gaps and their order is the order of commits, in both databases and for any number of workers.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits in both databases; in SQLite a primary key of this type is the row's own number."""

chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("nodes", Number, nullable=False),
    Column("cases", Number, nullable=False),
    Column("events", Number, nullable=False),
    Column("changes", Number, nullable=False),
    Column("feedback", Number, nullable=False),
    Column("history", Number, nullable=False),
    Column("head", Text, nullable=False),
    Column("surge", Boolean, nullable=False),
)
"""One row: the last numbers given out, the history's last hash. Whoever writes locks it first."""

nodes = Table(
    "nodes",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("node", Text, nullable=False, unique=True),
    Column("top", Number, nullable=False),
    Column("through", Number, nullable=False),
    Column("stored", Number, nullable=False),
    Column("gone", Number, nullable=False),
    Column("repeated", Number, nullable=False),
    Column("heard_ms", Number),
    Column("newest", Text, nullable=False),
    Column("forgotten", Text, nullable=False),
)
"""Accounts of the nodes; `heard_ms` is empty until one speaks. `newest` is the highest id of its events,
`forgotten` that of those whose keys left the inbox; ids are UUIDv7, so they rise with the node's time."""

keys = Table(
    "keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("node_id", Number, ForeignKey("nodes.id"), nullable=False, index=True),
    Column("public", LargeBinary, nullable=False),
    Column("admitted_ms", Number, nullable=False),
    Column("admitted_by", Text, nullable=False),
    Column("revoked_ms", Number),
    Column("revoked_by", Text),
)

holes = Table(
    "holes",
    metadata,
    Column("node_id", Number, ForeignKey("nodes.id"), primary_key=True),
    Column("first", Number, primary_key=True, autoincrement=False),
    Column("last", Number, nullable=False),
    Column("since_ms", Number, nullable=False),
)
"""Numbers that neither came nor were reported lost."""

lost = Table(
    "lost",
    metadata,
    Column("node_id", Number, ForeignKey("nodes.id"), primary_key=True),
    Column("first", Number, primary_key=True, autoincrement=False),
    Column("last", Number, nullable=False),
)
"""Numbers that were reported lost and did not come."""

inbox = Table(
    "inbox",
    metadata,
    Column("n", Number, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("received_ms", Number, nullable=False),
    UniqueConstraint("id", "source"),
)
"""What came: the key by which a duplicate is known. Heartbeats are known by their numbers alone."""

cases = Table(
    "cases",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("version", Number, nullable=False),
    Column("state", Text, nullable=False),
    Column("suspended_from", Text),
    Column("escalated", Boolean, nullable=False),
    Column("supervised", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("department", Text, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("region", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("longitude", Double),
    Column("latitude", Double),
    Column("opened_ms", Number, nullable=False),
    Column("ended_ms", Number),
    Column("first_ms", Number, nullable=False),
    Column("last_ms", Number, nullable=False),
    Column("stage_ms", Number, nullable=False),
    Column("spent_ms", Number, nullable=False),
    Column("due_ms", Number),
    Column("left_ms", Number),
    Column("late", Boolean, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("active", Integer, nullable=False),
    Column("incidents", Integer, nullable=False),
    Column("events", Integer, nullable=False),
    Column("verdict", Boolean),
    Column("cause", Text),
    Index("ix_cases_opened_ms", "opened_ms"),
    Index("ix_cases_state", "state", "id"),
    Index("ix_cases_code", "code", "id"),
    Index("ix_cases_ended_ms", "ended_ms", "id"),
)
"""`stage_ms`: when the stage was entered or resumed; `spent_ms`: time in it before a suspension; `left_ms`:
time to its deadline, while suspended; `active`: incidents that have not ended; `told`: codes, by spaces."""

Index(
    "ix_cases_due_ms",
    cases.c.due_ms,
    sqlite_where=cases.c.late == false(),
    postgresql_where=cases.c.late == false(),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("node_id", Number, ForeignKey("nodes.id"), primary_key=True),
    Column("case_id", Number, ForeignKey("cases.id"), nullable=False, index=True),
    Column("camera", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("verdict", Boolean),
    Column("cause", Text),
    Column("verdict_ms", Number, index=True),
)

events = Table(
    "events",
    metadata,
    Column("n", Number, primary_key=True, autoincrement=False),
    Column("case_id", Number, ForeignKey("cases.id"), nullable=False),
    Column("node_id", Number, ForeignKey("nodes.id"), nullable=False),
    Column("sequence", Number, nullable=False),
    Column("id", Text, nullable=False),
    Column("incident", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("observed_ms", Number, nullable=False),
    Column("received_ms", Number, nullable=False),
    Column("skew_ms", Number),
    Column("body", LargeBinary, nullable=False),
    Index("ix_events_case_id", "case_id", "node_id", "sequence", "n"),
)
"""Events of cases, as they were signed."""

marks = Table(
    "marks",
    metadata,
    Column("n", Number, primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("case_id", Number, ForeignKey("cases.id"), nullable=False, index=True),
    Column("longitude", Double),
    Column("latitude", Double),
)
"""Where open cases are to be found by place and kind; see `merge`."""

stages = Table(
    "stages",
    metadata,
    Column("history_id", Number, primary_key=True, autoincrement=False),
    Column("case_id", Number, ForeignKey("cases.id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("ended_ms", Number, nullable=False),
    Column("spent_ms", Number, nullable=False),
    Column("late", Boolean, nullable=False),
    Index("ix_stages_stage_ended_ms", "stage", "ended_ms"),
)
"""Stages that cases left, by the row of the history that says so."""

history = Table(
    "history",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("case_id", Number, ForeignKey("cases.id"), index=True),
    Column("at_ms", Number, nullable=False),
    Column("who", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("why", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""Append-only: triggers refuse everything else, and the hashes tell where they were got round."""

changes = Table(
    "changes",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("at_ms", Number, nullable=False),
    Column("case_id", Number, nullable=False),
    Column("version", Number, nullable=False),
    Column("what", Text, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("node", Text, nullable=False),
    Column("body", Text, nullable=False),
)
"""Messages that wait to be sent to nodes."""

covered = Table(
    "covered",
    metadata,
    Column("node_id", Number, ForeignKey("nodes.id"), primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False, index=True),
    Column("analysed_ms", Number, nullable=False),
    Column("degraded_ms", Number, nullable=False),
    Column("blind_ms", Number, nullable=False),
    Column("camera_ms", Number, nullable=False),
)
"""What the nodes' coverage ledgers say, by node and hour since 1970: time of tasks, and of cameras."""
