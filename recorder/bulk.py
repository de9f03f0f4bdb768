"""Many rows of one table in one statement, past the ORM: what it does for each value costs more than the database."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, BindParameter, Connection, Dialect, Table, bindparam
from sqlalchemy.orm import DeclarativeBase

from recorder.literals import literals
from recorder.rows import Row
from recorder.tables import UtcTime

Encoder = Callable[[Any], Any]
to_json: Encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode

_STATEMENT_CHARACTERS = 250_000  # at most 1 MB in UTF-8: a fraction of what a server takes in one packet


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
    names = tuple(listed[0])
    encoders = _encoders(table)
    columns = [[row[name] for row in listed] for name in names]
    encoded = [
        list(map(encoders[name], column)) if name in encoders else column
        for name, column in zip(names, columns, strict=True)
    ]
    into = _into(table, names, connection.dialect)
    if connection.dialect.name == "sqlite":
        _insert_parameters(connection, into, encoded, keep_present)
    else:
        _insert_literals(connection, into, encoded, keep_present)


def these(values: Collection[Any]) -> BindParameter[Any]:
    """For `column.in_`: many values, written into the statement, for each parameter has its price."""
    return bindparam(None, list(values), expanding=True, literal_execute=True)


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
def _into(table: Table, names: tuple[str, ...], dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    return f"INSERT INTO {quote(table.name)} ({', '.join(map(quote, names))}) VALUES "


def _insert_parameters(connection: Connection, into: str, columns: Sequence[Sequence[Any]], keep: bool) -> None:
    keeping = " ON CONFLICT DO NOTHING" if keep else ""
    marks = ", ".join("?" * len(columns))
    connection.exec_driver_sql(f"{into}({marks}){keeping}", list(zip(*columns, strict=True)))


def _insert_literals(connection: Connection, into: str, columns: Sequence[Sequence[Any]], keep: bool) -> None:
    """As text, for the driver's own way through each value costs more than the server's work."""
    # INSERT IGNORE would also swallow values that do not fit.
    keeping = " ON DUPLICATE KEY UPDATE id = id" if keep else ""
    rows = map(", ".join, zip(*map(literals, columns), strict=True))
    for part in _parts(f"({row})" for row in rows):
        connection.exec_driver_sql(f"{into}{part}{keeping}", execution_options={"no_parameters": True})


def _parts(rows: Iterable[str]) -> Iterator[str]:
    """Rows of one statement each, as many as fit."""
    part: list[str] = []
    characters = 0
    for row in rows:
        if part and characters + len(row) > _STATEMENT_CHARACTERS:
            yield ", ".join(part)
            part, characters = [], 0
        part.append(row)
        characters += len(row)
    if part:
        yield ", ".join(part)
