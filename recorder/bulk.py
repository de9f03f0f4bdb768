"""Many rows of one table in one statement, past the ORM: what it does for each value costs more than the database."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import JSON, Connection, Dialect, Table
from sqlalchemy.orm import DeclarativeBase

from recorder.rows import Row
from recorder.tables import UtcTime

Encoder = Callable[[Any], Any]
to_json: Encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def insert_rows(
    connection: Connection, kind: type[DeclarativeBase], rows: Iterable[Row], *, keep_present: bool = False
) -> None:
    """Insert `rows`, which all have the same columns; with `keep_present` a row whose key is taken changes nothing.

    Raises:
        sqlalchemy.exc.DBAPIError: the database refuses; IntegrityError if a key is taken.
        ValueError, OverflowError: a value has no form in the database.
    """
    listed = list(rows)
    if not listed:
        return
    table = kind.__table__
    assert isinstance(table, Table)
    columns = tuple(listed[0])
    encoders = [(columns.index(name), encoder) for name, encoder in _encoders(table).items() if name in columns]
    values = _values(listed, columns, encoders)
    connection.exec_driver_sql(_statement(table, columns, connection.dialect, keep_present), values)


def _values(rows: Sequence[Row], columns: Sequence[str], encoders: Sequence[tuple[int, Encoder]]) -> list[Any]:
    pick = itemgetter(*columns)
    values = []
    for row in rows:
        picked = list(pick(row))
        for position, encode in encoders:
            picked[position] = encode(picked[position])
        values.append(tuple(picked))
    return values


@lru_cache(maxsize=64)
def _encoders(table: Table) -> dict[str, Encoder]:
    """Of the columns whose values the driver does not take as they are."""
    of_type: list[tuple[type, Encoder]] = [(UtcTime, _time), (JSON, to_json)]
    return {
        column.name: encoder for column in table.columns for kind, encoder in of_type if isinstance(column.type, kind)
    }


def _time(moment: datetime | None) -> str | None:
    """As both databases store it, cut to milliseconds; see `UtcTime`."""
    return None if moment is None else f"{moment.astimezone(UTC).isoformat(' ', 'milliseconds')[:23]}000"


@lru_cache(maxsize=64)
def _statement(table: Table, columns: tuple[str, ...], dialect: Dialect, keep_present: bool) -> str:
    # INSERT IGNORE would also swallow values that do not fit.
    on_sqlite = dialect.name == "sqlite"
    mark, keeping = ("?", "ON CONFLICT DO NOTHING") if on_sqlite else ("%s", "ON DUPLICATE KEY UPDATE id = id")
    quote = dialect.identifier_preparer.quote
    names, marks = ", ".join(map(quote, columns)), ", ".join([mark] * len(columns))
    return f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks}) {keeping if keep_present else ''}"
