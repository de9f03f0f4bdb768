"""Verdicts into MariaDB as the recorder writes them, beside one raw loop of multi-row INSERTs, round by round."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import URL, Engine

from benchmarks.boards import payloads
from benchmarks.machine import rss_mib
from pcb_bus.clock import now_ns
from pcb_bus.codec import decode_json
from pcb_bus.inbox import Inbox
from pcb_bus.messages import Verdict
from pcb_bus.node import Identity, Node
from pcb_bus.settings import BrokerSettings
from recorder.arrival import Arrival, Delivered
from recorder.database import bring_up_to_date, make_engine
from recorder.images import ImageStore
from recorder.periods import Calendar
from recorder.reading import Reader
from recorder.rows import inspection_row
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings
from recorder.store import Store
from recorder.worker import Worker

_ROUND_S = 120.0
_AHEAD = 4  # batches that wait in the inbox


@dataclass(frozen=True, slots=True)
class Rounds:
    """Verdicts a second, each round; memory of this process after each, MiB."""

    recorder: list[float]
    raw: list[float]
    rss: list[float]

    @property
    def figures(self) -> dict[str, float]:
        sustained, raw = median(self.recorder), median(self.raw)
        return {
            "verdicts_per_s": sustained,
            "raw_rows_per_s": raw,
            "share_of_raw": median(ours / theirs for ours, theirs in zip(self.recorder, self.raw, strict=True)),
            "slowest_round_per_s": min(self.recorder),
        }


def measure(folder: Path, url: URL, broker: BrokerSettings, rounds: int, verdicts: int, batch: int) -> Rounds:
    """Alternate the two, so that whatever else the machine does hits both."""
    bring_up_to_date(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE raw_inspections LIKE inspections")
    result = Rounds([], [], [])
    with closing_engine(engine), recorder(folder, engine, broker, batch) as record:
        record(list(payloads(batch, "warm-up")))
        for number in range(rounds):
            result.raw.append(verdicts / raw_loop(engine, list(payloads(verdicts, f"raw {number}")), batch))
            result.recorder.append(verdicts / record(list(payloads(verdicts, f"round {number}"))))
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
    chosen = RecorderSettings(batch_size=batch, spool=SpoolSettings(path=folder / "spool.db"))
    settings = RecorderLine(broker=broker, recorder=chosen)
    node = Node(Identity("recorder", "recorder"), settings)
    inbox: Inbox[Delivered] = Inbox(100 * batch)
    reader = Reader(ImageStore(folder / "images"), settings.sides, settings.root)
    store = Store(engine, Calendar(chosen.time_zone))
    worker = Worker(node, inbox, reader, store, lambda: None, chosen, lambda: None)
    worker.start()
    node.start()
    node.session.wait_connected(10)
    try:
        yield partial(_feed, inbox, batch)
    finally:
        worker.stop()
        node.stop()


def _feed(inbox: Inbox[Delivered], batch: int, given: Sequence[bytes]) -> float:
    room = threading.Semaphore(_AHEAD * batch)
    begin = time.perf_counter()
    for payload in given:
        room.acquire()
        inbox.put(Delivered(Arrival("verdict", "pcb/verdict", payload, now_ns()), room.release))
    for _ in range(_AHEAD * batch):
        if not room.acquire(timeout=_ROUND_S):
            raise TimeoutError("the recorder does not acknowledge")
    return time.perf_counter() - begin


def raw_loop(engine: Engine, given: Sequence[bytes], batch: int) -> float:
    """Seconds for the same inspection rows by the driver alone: one INSERT and one commit a batch, nothing else."""
    rows = [_raw_row(payload) for payload in given]
    columns = list(rows[0])
    insert = f"INSERT INTO raw_inspections ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
    values = [tuple(row.values()) for row in rows]
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        begin = time.perf_counter()
        for start in range(0, len(values), batch):
            cursor.executemany(insert, values[start : start + batch])
            connection.commit()
        return time.perf_counter() - begin


def _raw_row(payload: bytes) -> dict[str, Any]:
    row = inspection_row(decode_json(Verdict, payload), now_ns())
    times = {name: row[name].replace(tzinfo=None) for name in ("inspection_time", "judged_at", "received_at")}
    return row | times | {"boxes": json.dumps(row["boxes"])}
