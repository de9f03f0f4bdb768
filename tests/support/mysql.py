"""Databases in a MySQL server that runs already: there is none in Debian's stable release to start one of our own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy import URL

from records.database import database_url, make_engine

VARIABLE = "BOARDLINE_TEST_MYSQL_URL"
"""Environment variable: the URL of a database there, with a login that may make and drop others."""


def given_server() -> URL | None:
    text = os.environ.get(VARIABLE)
    return database_url(text) if text else None


@contextmanager
def fresh_database(server: URL) -> Iterator[URL]:
    """A new, empty database, dropped after the block."""
    name = f"boardline_{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield server.set(database=name)
    finally:
        _execute(server, f"DROP DATABASE {name}")


def connect_plainly(url: URL) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    """As a client that knows nothing of this project connects; several statements may be sent at once."""
    return pymysql.connect(
        host=url.host or "",
        port=url.port or 3306,
        user=url.username or "",
        password=str(url.password),
        database=url.database,
        charset="utf8mb4",
        client_flag=CLIENT.MULTI_STATEMENTS,
    )


def _execute(server: URL, statement: str) -> None:
    engine = make_engine(server)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
