"""A recorder process, a broker and MariaDB: boards at the pace of a line, a stream, and a backlog that is drained."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import quantiles

from sqlalchemy import URL, func, select

from benchmarks.boards import payloads
from benchmarks.bus import TOPICS, Progress, broker_with, send, session
from benchmarks.machine import rss_mib
from benchmarks.mariadb import MariaDb
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import NodeStatus
from pcb_bus.contract.topics import exactly
from pcb_bus.mqtt.session import Delivery, Subscription
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY, BrokerSettings
from records.database import make_engine
from records.tables import Inspection, InspectionSide
from simulator.workplace import free_ports

_ONLINE_S, _DRAIN_S = 60.0, 600.0
_BOARDS_A_SECOND = 10
_PORTION = 5_000  # the line's broker keeps 20,000 messages for a recorder that falls behind
_SPOOL_ROWS = re.compile(r"^boardline_recorder_spool_rows (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run has its files, its database and its port."""

    folder: Path
    url: URL
    port: int


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of a backlog or a stream."""

    verdicts: int
    seconds: float
    lost: int
    rss: tuple[float, float, float]
    """Memory of the recorder's process after 5, 50 and 100 %, MiB."""

    @property
    def figures(self) -> dict[str, float]:
        start, middle, end = self.rss
        return {
            "verdicts": self.verdicts,
            "seconds": self.seconds,
            "verdicts_per_s": self.verdicts / self.seconds,
            "lost": self.lost,
            "rss_start_mib": start,
            "rss_middle_mib": middle,
            "rss_end_mib": end,
        }


def backlog(place: Place, server: MariaDb, verdicts: int) -> Drained:
    """They come while the database is away, and wait in the spool; the time runs from its return."""
    progress = Progress()
    waiting = iter(payloads(verdicts, "backlog"))
    with (
        broker_with(place.folder / "broker", place.port, {}) as broker,
        session("viewer", broker, progress.subscription),
        session("inference", broker) as sender,
        recorder_process(place, broker) as recorder,
    ):
        server.stop()
        for sent in range(_PORTION, verdicts + _PORTION, _PORTION):
            send(sender, islice(waiting, _PORTION))
            _wait_spooled(recorder.metrics_port, min(sent, verdicts))
        server.start()
        return _drained(place, progress, verdicts, recorder.pid, time.monotonic())


def stream(place: Place, verdicts: int) -> Drained:
    """The recorder is there, and they come as fast as the broker takes them."""
    progress = Progress()
    with (
        broker_with(place.folder / "broker", place.port, {}) as broker,
        session("viewer", broker, progress.subscription),
        session("inference", broker) as sender,
        recorder_process(place, broker) as recorder,
    ):
        begin = time.monotonic()
        send(sender, payloads(verdicts, "stream"))
        return _drained(place, progress, verdicts, recorder.pid, begin)


def pace(place: Place, verdicts: int) -> dict[str, float]:
    """Ten a second: from each verdict's publishing until the recorder, after its commit, has named it; ms."""
    progress = Progress()
    with (
        broker_with(place.folder / "broker", place.port, {}) as broker,
        session("viewer", broker, progress.subscription),
        session("inference", broker) as sender,
        recorder_process(place, broker),
    ):
        took, begin = [], time.monotonic()
        for number, payload in enumerate(payloads(verdicts, "pace")):
            time.sleep(max(0.0, begin + number / _BOARDS_A_SECOND - time.monotonic()))
            sent = time.monotonic()
            send(sender, [payload])
            took.append((progress.wait_for(number + 1, _DRAIN_S) - sent) * 1000)
    percentiles = quantiles(took, n=100)
    return {"verdicts": verdicts, "p50_ms": percentiles[49], "p99_ms": percentiles[98], "most_ms": max(took)}


def _drained(place: Place, progress: Progress, verdicts: int, pid: int, begin: float) -> Drained:
    rss = []
    for share in (0.05, 0.5, 1.0):
        end = progress.wait_for(round(share * verdicts), _DRAIN_S)
        rss.append(rss_mib(pid))
    return Drained(verdicts, end - begin, verdicts - _whole_boards(place.url), (rss[0], rss[1], rss[2]))


def _wait_spooled(metrics_port: int, count: int) -> None:
    end = time.monotonic() + _DRAIN_S
    while time.monotonic() < end:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as page:
            rows = _SPOOL_ROWS.search(page.read().decode())
        if rows and float(rows[1]) >= count:
            return
        time.sleep(0.05)
    raise TimeoutError(f"fewer than {count} verdicts reached the spool")


@dataclass(frozen=True, slots=True)
class RunningRecorder:
    """The process, and the port of its metrics."""

    pid: int
    metrics_port: int


@contextmanager
def recorder_process(place: Place, broker: BrokerSettings) -> Iterator[RunningRecorder]:
    """`python -m recorder`, online."""
    (metrics_port,) = free_ports(1)
    states: Inbox[Delivery] = Inbox(1000)

    def note(status: Delivery) -> None:
        states.put(status)

    watch = Subscription(exactly(TOPICS.status("recorder")), note)
    with session("operator", broker, watch):
        command = [*_command(broker), "--metrics.port", str(metrics_port)]
        process = subprocess.Popen(command, cwd=place.folder, env=_environment(place))
        try:
            _wait_online(states)
            yield RunningRecorder(process.pid, metrics_port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _wait_online(states: Inbox[Delivery]) -> None:
    end = time.monotonic() + _ONLINE_S
    while (left := end - time.monotonic()) > 0:
        said = states.take(left)
        if said is not None and decode_json(NodeStatus, said.payload).state == "online":
            return
    raise TimeoutError("the recorder does not come online")


def _command(broker: BrokerSettings) -> list[str]:
    return [
        *(sys.executable, "-m", "recorder", "--broker.port", str(broker.port), "--log.level", "warning"),
        *("--broker.credentials", str(broker.credentials), "--broker.keepalive_s", str(broker.keepalive_s)),
        *("--taxonomy", str(DEFAULT_TAXONOMY.resolve())),  # it runs in a folder of its own
    ]


def _environment(place: Place) -> dict[str, str]:
    url = place.url.render_as_string(hide_password=False)  # on a command line everybody could read it
    return os.environ | {"PYTHONPATH": str(Path.cwd()), "PCB_RECORDER__DATABASE_URL": url}


def _whole_boards(url: URL) -> int:
    """Boards that are in the database with both their sides."""
    engine = make_engine(url)
    sides = select(InspectionSide.inspection_id).group_by(InspectionSide.inspection_id).having(func.count() == 2)
    with engine.connect() as connection:
        found = connection.scalar(select(func.count()).select_from(Inspection).where(Inspection.id.in_(sides)))
    engine.dispose()
    return found or 0
