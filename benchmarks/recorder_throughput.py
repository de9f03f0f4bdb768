"""Verdicts into MariaDB as the recorder writes them, beside one raw loop of multi-row INSERTs, round by round."""

import itertools
import json
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import URL, Engine

from benchmarks.boards import payloads
from benchmarks.machine import rss_mib
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Verdict
from pcb_bus.contract.times import now_ns
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings
from recorder.arrival import Arrival, Delivered
from recorder.database import bring_up_to_date, make_engine
from recorder.images import ImageStore
from recorder.periods import Calendar
from recorder.reading import Reader
from recorder.rows import Row, inspection_row, side_rows
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings
from recorder.store import Store
from recorder.worker import Worker, take_short_turns

_ROUND_S = 120.0
_STOP_S = 1.0
_AHEAD = 4  # batches that wait in the inbox


@dataclass(frozen=True, slots=True)
class Rounds:
    """Verdicts a second, each round; memory of this process after each, MiB."""

    recorder: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    raw_inspections: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, Any]:
        return {
            "verdicts_per_s": median(self.recorder),
            "slowest_round_per_s": min(self.recorder),
            "raw_loop_per_s": median(self.raw),
            "share_of_raw_loop": _share(self.recorder, self.raw),
            "raw_loop_without_sides_per_s": median(self.raw_inspections),
            "share_of_raw_loop_without_sides": _share(self.recorder, self.raw_inspections),
            "rss_mib": self.rss,
        }


def _share(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


def measure(folder: Path, url: URL, broker: BrokerSettings, rounds: int, verdicts: int, batch: int) -> Rounds:
    """Take turns, so that whatever else the machine does hits all of them."""
    bring_up_to_date(url)
    engine = make_engine(url)
    result = Rounds()
    with closing_engine(engine), recorder(folder, engine, broker, batch) as record:
        raw = RawTables(engine)
        record(list(payloads(batch, "warm-up")))
        for number in range(rounds):
            given = list(payloads(verdicts, f"round {number}"))
            others = list(payloads(verdicts, f"other {number}"))
            result.raw.append(verdicts / raw.fill(given, batch, sides=True))
            result.recorder.append(verdicts / record(given))
            result.raw_inspections.append(verdicts / raw.fill(others, batch, sides=False))
            result.rss.append(rss_mib())
    return result


@contextmanager
def closing_engine(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


@contextmanager
def recorder(
    folder: Path, engine: Engine, broker: BrokerSettings, batch: int
) -> Iterator[Callable[[Sequence[bytes]], float]]:
    """The service's worker with all its parts; takes payloads, gives the seconds until the last is acknowledged."""
    take_short_turns()
    chosen = RecorderSettings(batch_size=batch, spool=SpoolSettings(path=folder / "spool.db"))
    settings = RecorderLine(broker=broker, recorder=chosen)
    service = Service("recorder", "recorder", settings)
    inbox: Inbox[Delivered] = Inbox(100 * batch)
    reader = Reader(ImageStore(folder / "images"), settings.sides, settings.root)
    store = Store(engine, Calendar(chosen.time_zone))
    worker = Worker(service, inbox, reader, store, lambda: None, chosen, lambda: None)
    service.start()
    service.session.wait_connected(10)
    try:
        yield partial(_feed, inbox, batch)
    finally:
        worker.stop(_STOP_S)
        service.stop()
        worker.spool.close()


def _feed(inbox: Inbox[Delivered], batch: int, given: Sequence[bytes]) -> float:
    # A queue of C's for a semaphore: what this side costs, the recorder does not get.
    acknowledged: queue.SimpleQueue[None] = queue.SimpleQueue()
    acknowledge = partial(acknowledged.put, None)
    begin = time.perf_counter()
    for number, payload in enumerate(given):
        if number >= _AHEAD * batch:
            acknowledged.get(timeout=_ROUND_S)
        inbox.put(Delivered(Arrival("verdict", "pcb/verdict", payload, now_ns()), acknowledge))
    for _ in range(min(_AHEAD * batch, len(given))):
        acknowledged.get(timeout=_ROUND_S)
    return time.perf_counter() - begin


class RawTables:
    """Empty copies of the tables, for the driver alone to fill: one INSERT a table and one commit a batch, no more."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._next_id = itertools.count(1)
        with engine.begin() as connection:
            for name in ("inspections", "inspection_sides"):
                connection.exec_driver_sql(f"CREATE TABLE raw_{name} LIKE {name}")

    def fill(self, given: Sequence[bytes], batch: int, *, sides: bool) -> float:
        """Seconds for the rows of these verdicts: that of the board, and with `sides` those of its sides too."""
        verdicts = [decode_json(Verdict, payload) for payload in given]
        numbered = list(zip(self._next_id, verdicts, strict=False))
        boards = [{"id": number, **_raw(inspection_row(verdict, now_ns()))} for number, verdict in numbered]
        seen = [{"inspection_id": number, **_raw(row)} for number, verdict in numbered for row in side_rows(verdict)]
        inserts = [_Insert("raw_inspections", boards, batch)]
        if sides:
            inserts.append(_Insert("raw_inspection_sides", seen, len(seen) * batch // len(boards)))
        with closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            begin = time.perf_counter()
            for parts in zip(*inserts, strict=True):
                for statement, values in parts:
                    cursor.executemany(statement, values)
                connection.commit()
            return time.perf_counter() - begin


class _Insert:
    """The statements that insert `rows`, so many at once."""

    def __init__(self, table: str, rows: Sequence[Row], size: int) -> None:
        columns = ", ".join(rows[0])
        self._statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(rows[0]))})"
        self._values = [tuple(row.values()) for row in rows]
        self._size = size

    def __iter__(self) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        for start in range(0, len(self._values), self._size):
            yield self._statement, self._values[start : start + self._size]


def _raw(row: Row) -> Row:
    """As the driver takes it."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return json.dumps(value) if isinstance(value, list) else value
