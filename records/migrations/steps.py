"""The steps of the revisions. MySQL commits each statement that changes a table, so an upgrade may be cut off anywhere.

Therefore each step looks first whether it is done already: to begin anew is to go on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=3), "mysql")
BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
CHUNK = 20_000


def key() -> sa.Column[int]:
    return sa.Column("id", BIG_ID, primary_key=True)


def must(name: str, kind: sa.types.TypeEngine[Any], default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=default)


def may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def primary(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True)


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=unique_name(table, *columns))


def unique_name(table: str, *columns: str) -> str:
    return f"uq_{table}_{'_'.join(columns)}"


def by_user(table: str, column: str = "user_id", ondelete: str = "SET NULL") -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], ["users.id"], name=f"fk_{table}_{column}", ondelete=ondelete)


def of_inspection(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_inspection_id"
    return sa.ForeignKeyConstraint(["inspection_id"], ["inspections.id"], name=name, ondelete="CASCADE")


def columns_of(table: str) -> dict[str, Any]:
    """What each column is, by its name; empty if there is no such table."""
    inspector = _look()
    return {each["name"]: each for each in inspector.get_columns(table)} if inspector.has_table(table) else {}


def make_table(name: str, *items: sa.schema.SchemaItem) -> None:
    if not _look().has_table(name):
        op.create_table(name, *items, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")


def make_index(table: str, *columns: str) -> None:
    name = _index_name(table, *columns)
    if name not in _indexes(table):
        op.create_index(name, table, list(columns))


def drop_index(table: str, *columns: str) -> None:
    name = _index_name(table, *columns)
    if name in _indexes(table):
        op.drop_index(name, table)


def add_column(table: str, column: sa.Column[Any]) -> None:
    if column.name not in columns_of(table):
        op.add_column(table, column)


def reshape(
    table: str, required: Sequence[sa.Column[Any]] = (), add: Sequence[str] = (), drop: Sequence[str] = ()
) -> None:
    """`required` columns take no NULL and have no default; the columns `add` are unique together, `drop` no longer."""
    there, keys = columns_of(table), {each["name"] for each in _look().get_unique_constraints(table)}
    added, dropped = unique_name(table, *add), unique_name(table, *drop)
    # On SQLite the block makes the table anew, once, when there is something to do.
    with op.batch_alter_table(table) as batch:
        for column in required:
            if there[column.name]["nullable"]:
                batch.alter_column(column.name, existing_type=column.type, nullable=False)
            if there[column.name]["default"] is not None:
                batch.alter_column(column.name, existing_type=column.type, server_default=None)
        if add and added not in keys:
            batch.create_unique_constraint(added, list(add))
        if drop and dropped in keys:
            batch.drop_constraint(dropped, type_="unique")


def chunks(rows: sa.TableClause, *where: sa.ColumnElement[bool]) -> Iterator[tuple[int, int]]:
    """First and last id of some thousand rows at a time, of those for which `where` holds; each is committed."""
    ends = sa.select(sa.func.min(rows.c.id), sa.func.max(rows.c.id)).where(*where)
    first, last = op.get_bind().execute(ends).one()
    for begin in () if first is None else range(first, last + 1, CHUNK):
        yield begin, begin + CHUNK - 1
        commit()


def commit() -> None:
    """Keep what is done so far, where a migration is not one transaction anyway."""
    if op.get_bind().dialect.name == "mysql":
        op.execute("COMMIT")


def _look() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _indexes(table: str) -> set[str | None]:
    return {each["name"] for each in _look().get_indexes(table)}


def _index_name(table: str, *columns: str) -> str:
    return f"ix_{table}_{'_'.join(columns)}"
