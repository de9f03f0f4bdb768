"""Services that are asked to stop again and again at once: each ends in time, well, and with its gates off."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

import yaml
from rich.console import Console
from rich.table import Table
from support.peer import until
from support.probe import Probe, Received
from support.verdicts import verdict

from broker.children import start_child
from broker.server import Broker
from faults.launch import read_pins
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import NodeStatus
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.contract.topics import Topics
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from simulator.workplace import free_ports, merged

SERVICES: Mapping[str, Sequence[str]] = {
    "edge-left": ("edge_publisher", "--side", "left", "--source", "sim://left?rate=5"),
    "inference": ("inference_subscriber",),
    "actuator": ("actuator",),
    "recorder": ("recorder",),
}
"""By node: the module and its arguments."""
ENDED_S = 5.0
_UP_S = 60.0
_GIVEN_UP_S = 20.0
_AT_ONCE = 2
_GATE_MS = 60_000
_UNTIL_IT_ENDS = 10_000
_SHOWN, _WORDS = 12, 5
_PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Stop:
    """How a service ended: after how long, with which code (None: it had to be killed), and with which pins high."""

    node: str
    took_s: float
    code: int | None
    high: tuple[int, ...]
    last_words: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.took_s <= ENDED_S and not self.high

    def __str__(self) -> str:
        pins = f", pins {', '.join(map(str, self.high))} high" if self.high else ""
        return f"{self.node}: ended after {self.took_s:.1f} s with code {self.code}{pins}: {self.last_words}"


def stops(node: str, times: int, broker: Broker, folder: Path, rng: Random) -> Iterator[Stop]:
    """Start a service at the broker and stop it, again and again, with bursts of signals.

    Args:
        folder: a new one, for what it writes.
    """
    for number in range(times):
        yield _start_and_stop(node, broker, folder / f"{node}-{number}", rng)


def _start_and_stop(node: str, broker: Broker, folder: Path, rng: Random) -> Stop:
    topics, since = Topics(), now_ns()
    with Probe(broker, "viewer") as viewer, _running(node, broker, folder) as process:
        try:
            _wait_until_up(viewer, str(topics.status(node)), since)
            if node == "actuator":
                _fire(broker, topics, folder / "pins")
        except TimeoutError as error:
            return Stop(node, 0.0, None, (), f"it did not come up: {error}; {_last_words(folder / 'output')}")
        asked_at = time.monotonic()
        code = _stop(process, rng)
        took_s = time.monotonic() - asked_at
    return Stop(node, took_s, code, _high(folder / "pins"), _last_words(folder / "output"))


def run_stops(times: int, seed: int | None, only: Sequence[str] = (), console: Console | None = None) -> int:
    """Stop each service so often, and show how they ended; returns the exit code."""
    console = console or Console()
    seed = SystemRandom().randrange(10**6) if seed is None else seed
    console.print(f"seed {seed}")
    nodes = [node for node in SERVICES if not only or node in only]
    (broker_port,) = free_ports(1)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="boardline-stops-")))
        broker = opened.enter_context(Broker(folder / "broker", broker_port))
        pool = opened.enter_context(ThreadPoolExecutor(_AT_ONCE))

        def stop_all(node: str) -> list[Stop]:
            return list(stops(node, times, broker, folder, Random(f"{seed}/{node}")))

        found = dict(zip(nodes, pool.map(stop_all, nodes), strict=True))
    console.print(_table(found))
    wrong = [each for ended in found.values() for each in ended if not each.ok]
    for each in wrong[:_SHOWN]:
        console.print(str(each), highlight=False, markup=False)
    return 1 if wrong or not found else 0


def _table(found: Mapping[str, Sequence[Stop]]) -> Table:
    table = Table("service")
    for name in ("stops", f"well within {ENDED_S:g} s", "gates off", "longest, s"):
        table.add_column(name, justify="right")
    for node, ended in found.items():
        well, off = sum(each.ok for each in ended), sum(not each.high for each in ended)
        longest = max((each.took_s for each in ended), default=0.0)
        table.add_row(node, str(len(ended)), str(well), str(off), f"{longest:.2f}")
    return table


@contextmanager
def _running(node: str, broker: Broker, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The service as a process that leads a group of its own."""
    folder.mkdir(parents=True)
    environment = {
        **os.environ,
        "PCB_CONFIG": str(_write_settings(broker, folder)),
        "GPIOZERO_PIN_FACTORY": "mock",
        "PYTHONPATH": os.pathsep.join(map(str, (_PROJECT, _PROJECT / "tests"))),
    }
    command = [sys.executable, "-m", "faults.launch", "--pins", str(folder / "pins"), *SERVICES[node]]
    with (folder / "output").open("wb") as output:
        process = start_child(command, output, environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _write_settings(broker: Broker, folder: Path) -> Path:
    taxonomy = yaml.safe_load((_PROJECT / DEFAULT_TAXONOMY).read_text(encoding="utf-8"))
    taxonomy = merged(taxonomy, {"categories": {"scrap": {"duration_ms": _GATE_MS}}})
    (folder / "pcb_defects.yaml").write_text(yaml.safe_dump(taxonomy, sort_keys=False), encoding="utf-8")
    settings = {
        "taxonomy": str(folder / "pcb_defects.yaml"),
        "broker": {"port": broker.port, "credentials": str(broker.credentials_folder)},
        "log": {"directory": str(folder / "log")},
        "edge": {"outbox": str(folder / "edge")},
        "actuator": {"ledger": str(folder / "ledger.db"), "outbox": str(folder / "reports.db")},
        "inference": {
            "outbox": str(folder / "verdicts.db"),
            "evidence_outbox": str(folder / "evidence.db"),
            "threads": 1,
        },
        "recorder": {
            "database_url": f"sqlite:///{folder / 'records.db'}",
            "images": str(folder / "images"),
            "spool": {"path": str(folder / "spool.db")},
        },
    }
    path = folder / "line.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path


def _wait_until_up(viewer: Probe, topic: str, since: int) -> None:
    """Wait for the birth of a process that was started after `since` (ns)."""

    def is_born(message: Received) -> bool:
        status = decode_json(NodeStatus, message.payload)
        return status.state != "offline" and status.started_at >= since // NS_PER_MS * NS_PER_MS

    viewer.subscribe(topic)
    viewer.wait_for(topic, is_born, timeout=_UP_S)


def _fire(broker: Broker, topics: Topics, pins: Path) -> None:
    """A gate is high from now on, for much longer than the service may take to end."""
    now = now_ns()
    judged = verdict("board", "scrap", captured_at=now, judged_at=now, deadline_at=now + 10 * NS_PER_S)
    with Probe(broker, "inference") as inference:
        inference.publish(str(topics.verdict), encode_json(judged))
    until(lambda: bool(_high(pins)))


def _stop(process: subprocess.Popen[bytes], rng: Random) -> int | None:
    """Signals, to the process or its group, some of them or until it has ended; its exit code."""
    send = process.send_signal if rng.random() < 0.5 else partial(os.killpg, process.pid)
    left = rng.randint(1, 50) if rng.random() < 0.5 else _UNTIL_IT_ENDS
    while left and process.poll() is None:
        with suppress(ProcessLookupError):
            send(signal.SIGTERM if rng.random() < 0.8 else signal.SIGINT)
        time.sleep(rng.choice((0.0, rng.uniform(0.0, 0.003))))
        left -= 1
    try:
        return process.wait(_GIVEN_UP_S)
    except subprocess.TimeoutExpired:
        return None


def _high(pins: Path) -> tuple[int, ...]:
    """Pins whose last level was high."""
    last = {each.pin: each.high for each in read_pins(pins)}
    return tuple(sorted(pin for pin, high in last.items() if high))


def _last_words(output: Path) -> str:
    """What it complained of, else its last line."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line for line in lines if " INFO " not in line and not line.startswith(" ")]
    return " | ".join(told[-_WORDS:] or lines[-1:])
