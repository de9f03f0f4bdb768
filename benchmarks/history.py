"""Queries over a year of records: `python -m benchmarks.history [--rows N] [--runs N] [--database URL]`.

Fills an empty database (a MariaDB of its own, unless a URL is given: MariaDB or MySQL), then prints for each query the
indexes that served it, the rows read, and how long it took; and how long a file of 100,000 boards takes. Exit code 1
when one that must use an index does not, or takes longer than is promised: with much fewer rows than the default, a
scan for page 1000 by OFFSET may be the better plan, and counts as a fault too.
"""

import argparse
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, event, text

from benchmarks.history_queries import PAGE, Query, queries
from benchmarks.history_rows import LINE, fill
from benchmarks.mariadb import MariaDb
from records.database import database_url, make_engine
from records.history import export
from records.migrate import bring_up_to_date
from records.queries import Filter
from records.times import local_time
from simulator.workplace import free_ports

END = datetime(2026, 11, 21, 8, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Seoul")
_OPTIONS = (
    *("--skip-name-resolve", "--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"),
    *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"),  # what is filled here is read once
)
_EXPORTED = 100_000
_LONGEST_S = 5.0  # of one query, all its runs together
_READ = "SHOW SESSION STATUS LIKE 'Handler_read%'"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one query took; `faults` is empty when it used the index that it must."""

    name: str
    indexes: tuple[str, ...]
    rows_read: int
    times_ms: Sequence[float]
    faults: str


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.history", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--database", metavar="URL", help="an empty database, which is filled and left as it is")
    given = parser.parse_args()
    if given.rows < 1000 * PAGE:
        parser.error(f"--rows: at least {1000 * PAGE}, for there is a page 1000")
    console = Console()
    with _database(given.database) as engine:
        began = time.monotonic()
        fill(engine, given.rows, END, lambda done: console.print(f"{done} rows", end="\r"))
        console.print(f"{given.rows} rows in {time.monotonic() - began:.0f} s")
        figures = list(measure(engine, given.runs))
        console.print(_export(engine))
    _show(console, figures, f"{given.rows} rows over a year")
    return 1 if any(figure.faults for figure in figures) else 0


@contextmanager
def _database(given: str | None) -> Iterator[Engine]:
    if given:
        yield _with_tables(given)
        return
    with tempfile.TemporaryDirectory(prefix="boardline-") as folder:
        server = MariaDb(Path(folder), free_ports(1)[0], _OPTIONS)
        try:
            server.initialise()
            yield _with_tables(server.fresh_database())
        finally:
            server.stop()


def _with_tables(text_url: str) -> Engine:
    url = database_url(text_url)
    bring_up_to_date(url, LINE, ZONE)
    return make_engine(url, patient=True)  # filling takes longer than any statement of the recorder's


def measure(engine: Engine, runs: int) -> Iterator[Figure]:
    """Each query, explained once and run up to `runs` times."""
    with engine.connect() as connection:
        for query in queries(local_time(END, ZONE), _before_page_1000(connection)):
            yield _figure(connection, query, runs)


def _export(engine: Engine) -> str:
    """How long the newest 100,000 boards take for a file, and how much memory: once timed, once traced."""
    newest = "SELECT inspection_time FROM inspections ORDER BY inspection_time DESC"
    with engine.connect() as connection:
        since = connection.scalar(text(f"{newest} LIMIT 1 OFFSET {_EXPORTED - 1}"))
        chosen = Filter(since=since)
        began = time.perf_counter()
        rows = sum(1 for _ in export(connection, chosen))
        took = time.perf_counter() - began
        tracemalloc.start()
        rows = sum(1 for _ in export(connection, chosen))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return f"a file of {rows} boards: {took:.1f} s, {peak / 2**20:.1f} MiB at most"


def _before_page_1000(connection: Connection) -> tuple[datetime, int]:
    newest = "SELECT inspection_time, id FROM inspections ORDER BY inspection_time DESC, id DESC"
    row = connection.execute(text(f"{newest} LIMIT 1 OFFSET {999 * PAGE - 1}")).one()
    return row.inspection_time, row.id


def _figure(connection: Connection, query: Query, runs: int) -> Figure:
    before = _rows_read(connection)
    with _statements(connection) as statements:
        query.run(connection)
    rows_read = _rows_read(connection) - before
    plan = [line for statement in statements for line in _explain(connection, *statement)]
    times = list(_times_ms(connection, query, runs))
    p95, limit = _percentile(times, 95), query.limit_ms
    slow = f"over {limit:.0f} ms" if limit is not None and p95 > limit else ""
    indexes = tuple(dict.fromkeys(line["key"] for line in plan if line["key"]))
    return Figure(query.name, indexes, rows_read, times, "; ".join(filter(None, (faults(query, plan), slow))))


def faults(query: Query, plan: Iterable[dict[str, Any]]) -> str:
    """What is wrong with the lines of an EXPLAIN; empty if nothing."""
    lines = list(plan)
    scanned = [line["table"] for line in lines if line["type"] == "ALL" and not line["table"].startswith("<")]
    if scanned:
        return f"reads all of {', '.join(scanned)}"
    used = {line["key"] for line in lines}
    return "" if not query.indexes or used & set(query.indexes) else f"does not use {' or '.join(query.indexes)}"


@contextmanager
def _statements(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is sent within the block, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_: Connection, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith("SELECT"):
            sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(connection, "before_cursor_execute", note)


def _explain(connection: Connection, statement: str, parameters: Any) -> list[dict[str, Any]]:
    # The form has to be named: the default of MySQL 9 is a tree of text.
    rows = connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters).mappings()
    return [{**row, "table": row["table"] or "<none>"} for row in rows]


def _rows_read(connection: Connection) -> int:
    return sum(int(row[1]) for row in connection.execute(text(_READ)))


def _times_ms(connection: Connection, query: Query, runs: int) -> Iterator[float]:
    began = time.perf_counter()
    for _ in range(runs):
        start = time.perf_counter()
        query.run(connection)
        yield (time.perf_counter() - start) * 1000
        if time.perf_counter() - began > _LONGEST_S:
            return


def _show(console: Console, figures: Sequence[Figure], title: str) -> None:
    table = Table("query", "indexes", "rows read", "p50 ms", "p95 ms", "runs", title=title, title_justify="left")
    for figure in figures:
        p50, p95 = (f"{_percentile(figure.times_ms, percent):.1f}" for percent in (50, 95))
        shown = figure.faults or " ".join(index.removeprefix("ix_") for index in figure.indexes)
        style = "red" if figure.faults else ""
        table.add_row(figure.name, shown, str(figure.rows_read), p50, p95, str(len(figure.times_ms)), style=style)
    console.print(table)


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    sys.exit(main())
