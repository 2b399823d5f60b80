"""Statements for many values at once, compiled once for each database, whatever the number of values."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

Among = Callable[[sa.ColumnElement[Any], str], sa.ColumnElement[bool]]
"""Whether a column's value is one of those under a name."""
Writing = sa.Insert | sa.Update | sa.Delete


class Lookup:
    """A query for rows by many values.

    The values go as one: an array to PostgreSQL, JSON to SQLite. An IN list would be another text of SQL for
    every number of values, to be made and parsed anew each time.
    """

    def __init__(self, make: Callable[[Among], sa.Select[Any]]) -> None:
        """Build the query for each database.

        Args:
            make: gives the query, with the condition that it is handed in place of IN.
        """
        self._queries = {"sqlite": make(_among_json), "postgresql": make(_among_array)}

    def rows(
        self, connection: sa.Connection, among: Mapping[str, Collection[object]], **more: object
    ) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """The rows; none where the first of the collections is empty.

        Args:
            connection: to read from.
            among: values by their names.
            more: what else the query asks for.
        """
        if not next(iter(among.values())):
            return ()
        dialect = connection.dialect.name
        given = {name: _as_one(dialect, values) for name, values in among.items()}
        return connection.execute(self._queries[dialect], {**given, **more}).all()


def write_many(connection: sa.Connection, statement: Writing, rows: Sequence[dict[str, Any]]) -> None:
    """Run a statement for each row, if there are any; all rows have the same columns.

    The values are numbers, text, bytes and truths, which both drivers take as they are. So they need not pass
    through SQLAlchemy one by one, which took half of the time.
    """
    if not rows:
        return
    sql, order = _compiled(statement, tuple(rows[0]), connection.dialect)
    if order is None:
        connection.exec_driver_sql(sql, list(rows))
    else:
        connection.exec_driver_sql(sql, [tuple(map(row.__getitem__, order)) for row in rows])


@lru_cache(maxsize=256)
def _compiled(
    statement: Writing, columns: tuple[str, ...], dialect: sa.Dialect
) -> tuple[str, tuple[str, ...] | None]:
    """The SQL and, where the driver wants a row's values without names, their order."""
    compiled = statement.compile(dialect=dialect, column_keys=list(columns), for_executemany=True)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - of a statement that writes
    return str(compiled), None if compiled.positiontup is None else tuple(compiled.positiontup)


def _among_json(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    values = sa.func.json_each(sa.bindparam(name, type_=sa.Text)).table_valued("value", name=f"of_{name}")
    return column.in_(sa.select(values.c.value))


def _among_array(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    return column == sa.any_(sa.bindparam(name, type_=sa.ARRAY(column.type)))


def _as_one(dialect: str, values: Collection[object]) -> object:
    return json.dumps(list(values)) if dialect == "sqlite" else list(values)
