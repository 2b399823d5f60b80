"""Move a centre's database from SQLite to PostgreSQL, all of it. Stop the centre first.

    python deploy/move_center.py center.yaml center-postgresql.yaml

Cases, history with its chain of hashes, keys, and each node's account go along, so that nodes, Redis and
people notice nothing but the pause. The second configuration's `database.url` names an empty database; the
first one's is only read. Either everything is copied or nothing.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from api.center.config import load_center
from api.center.errors import CenterError
from api.center.schema import chain, marks, metadata, nodes
from api.center.store.engine import Database, parse_url
from edge.errors import ConfigError

ROWS = 5000
"""Rows held in memory at a time."""


def move(source_url: str, target_url: str) -> dict[str, int]:
    """Copy every table in one transaction; rows by table.

    Args:
        source_url: `sqlite:///path` of a centre that is stopped.
        target_url: `postgresql://...` of an empty database.

    Raises:
        ValueError: a URL is none, or the target holds something.
        StoreAwayError, LayoutError: a database cannot be opened.
    """
    for url in (source_url, target_url):
        # both at the newest layout
        Database(url, lambda: datetime.now(UTC)).close()
    source, target = sa.create_engine(parse_url(source_url)), sa.create_engine(parse_url(target_url))
    try:
        with source.connect() as old, target.begin() as new:
            if any(new.scalar(sa.select(sa.func.count()).select_from(table)) for table in (nodes, marks)):
                raise ValueError("the target is in use: move into an empty database")
            # the one row that every database is born with
            new.execute(sa.delete(chain))
            return {table.name: _copied(table, old, new) for table in metadata.sorted_tables}
    finally:
        source.dispose()
        target.dispose()


def _copied(table: sa.Table, old: sa.Connection, new: sa.Connection) -> int:
    count = 0
    rows = old.execution_options(yield_per=ROWS).execute(sa.select(table)).mappings()
    for some in rows.partitions(ROWS):
        new.execute(sa.insert(table), [dict(row) for row in some])
        count += len(some)
    if table is marks and new.dialect.name == "postgresql":
        # the only numbers that the database gives out itself
        number = sa.func.pg_get_serial_sequence(table.name, "n")
        new.execute(sa.select(sa.func.setval(number, sa.func.coalesce(sa.func.max(marks.c.n), 1))))
    return count


def main() -> int:
    """Run it as a program; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="the centre's configuration, as it is")
    parser.add_argument("after", type=Path, help="the configuration that it gets")
    args = parser.parse_args()
    try:
        counts = move(load_center(args.before).database_url, load_center(args.after).database_url)
    except (CenterError, ConfigError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.writelines(f"{count:>12}  {name}\n" for name, count in counts.items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
