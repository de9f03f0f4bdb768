"""Verdict to pin: `python -m benchmarks.actuator [--verdicts N] [--rate R] [--busy N] [--json FILE]`.

A real broker, the real service with its ledger on this disk, gpiozero's mock pins, whose states carry their times.
First verdicts that fire at once, then as many for a gate downstream, many boards on their way to it at a time, each
announced by a trigger from a camera whose clock is wrong by `--off` hours. Exit code 1 when a figure that was promised
is missed; `--busy` lets so many processes compute meanwhile.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.bus import TOPICS, session
from benchmarks.machine import machine
from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Actuation, Category, ModelRef, NodeStatus, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.contract.topics import Topic, exactly
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime.settings import BrokerSettings
from simulator.workplace import free_ports

_PAGE = 4096
DELAY_MS, AT_ONCE_MS, DOWNSTREAM_MS = 1000, 10, 15
AT_ONCE_PIN, DOWNSTREAM_PIN = 22, 27
GATES: dict[str, dict[str, object]] = {
    "scrap": {"pin": AT_ONCE_PIN, "duration_ms": AT_ONCE_MS},
    "solder": {"pin": DOWNSTREAM_PIN, "duration_ms": DOWNSTREAM_MS, "gate_delay_ms": DELAY_MS},
}
# Figure: percentile -> most ms, or none where it is for information.
LIMITS: dict[str, dict[str, float | None]] = {
    "verdict received to pin high": {"p50": 2.0, "p99": 4.0, "max": None},
    "verdict published to pin high": {"p50": None, "p99": None, "max": None},
    "pulse downstream, after its time by the trigger": {"p50": None, "p99": 5.0, "max": None},
    "pulse length, beyond what was asked": {"p50": None, "p99": None, "max": None},
    "one synced write of 4 KB in place": {"p50": None, "p99": None, "max": None},
}
Figures = dict[str, dict[str, float]]


def main() -> int:
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="boardline-", dir=given.folder) as folder, busy(given.busy):
        disk = measure_disk(Path(folder) / "disk", 200)
        times = measure(Path(folder), given.verdicts, given.rate, round(given.off * 3600 * NS_PER_S))
    figures = figures_of(times, disk)
    kept = {f"{name}, {which}": ok for name, which, ok in promises(figures)}
    show(figures, given)
    result = {"machine": machine(), "options": vars(given), "ms": figures, "outcomes": times["outcomes"], "kept": kept}
    if given.json:
        given.json.write_text(json.dumps(result, indent=2, default=str), encoding="utf-8")
    fired = times["outcomes"] == {"fired": 2 * given.verdicts}
    return 0 if fired and all(kept.values()) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.actuator", description=__doc__)
    parser.add_argument("--verdicts", type=int, default=1000, help="of each kind")
    parser.add_argument("--rate", type=float, default=25.0, help="verdicts a second, up to 50")
    parser.add_argument("--busy", type=int, default=0, help="processes that compute meanwhile")
    parser.add_argument("--off", type=float, default=1.0, help="hours by which the camera's clock is ahead")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the system's temporary folder)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    if given.verdicts < 1 or not 0 < given.rate <= 50:
        parser.error("at least one verdict, at up to 50 a second: pulses must not overlap")
    return given


def measure(folder: Path, count: int, rate: float, off: int) -> dict[str, Any]:
    """Every time in seconds, by what was measured, and how many verdicts had which outcome."""
    watcher = Watcher()
    (port,) = free_ports(1)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker", port))
        settings = BrokerSettings(port=port, credentials=broker.credentials_folder)
        stack.enter_context(session("viewer", settings, *watcher.subscriptions))
        inference = stack.enter_context(session("inference", settings))
        eye = stack.enter_context(session("trigger", settings))
        times = folder / "times.json"
        with station(folder, settings, times):
            watcher.wait_for_birth()
            send(lambda number: (inference, TOPICS.verdict, verdict("scrap", now_ns())), count, rate)
            due: list[float] = []

            def announce(number: int) -> tuple[MqttSession, Topic, bytes]:
                due.append(time.monotonic() + DELAY_MS / 1000)
                return eye, TOPICS.trigger, trigger(number, now_ns() + off)

            # Half a period between a trigger and the verdict on its board.
            judge = threading.Timer(0.5 / rate, send, (lambda number: judged(inference, number, off), count, rate))
            judge.start()
            send(announce, count, rate)
            judge.join()
            outcomes = watcher.wait_for(2 * count)
        found = json.loads(times.read_text(encoding="utf-8"))
        rose = found["ROSE"][str(DOWNSTREAM_PIN)]
        if len(rose) != count:
            raise RuntimeError(f"this machine is too busy: pulses were late or ran into each other: {outcomes}")
        after = [at - moment for at, moment in zip(rose, due, strict=True)]
        return {**found, "DOWNSTREAM": after, "outcomes": outcomes}


@contextmanager
def station(folder: Path, broker: BrokerSettings, times: Path) -> Iterator[None]:
    """The actuator; it has written its times when this ends."""
    config = folder / "line.yaml"
    taxonomy = yaml.safe_load(Path("config/pcb_defects.yaml").read_text(encoding="utf-8"))
    labels = {name: {"label": rule["label"]} for name, rule in taxonomy["categories"].items()}
    taxonomy["categories"] = {name: {**rule, **GATES.get(name, {})} for name, rule in labels.items()}
    (folder / "defects.yaml").write_text(yaml.safe_dump(taxonomy, sort_keys=False), encoding="utf-8")
    line = {
        "taxonomy": str(folder / "defects.yaml"),
        "broker": {"port": broker.port, "credentials": str(broker.credentials)},
        "log": {"directory": str(folder / "log"), "level": "warning"},
        "actuator": {"ledger": str(folder / "ledger.db"), "outbox": str(folder / "outbox.db")},
    }
    config.write_text(yaml.safe_dump(line), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.actuator_station", str(times), "--config", str(config)]
    process = subprocess.Popen(command, env={**os.environ, "GPIOZERO_PIN_FACTORY": "mock"})
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def send(make: Callable[[int], tuple[MqttSession, Topic, bytes]], count: int, rate: float) -> None:
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        sender, topic, payload = make(number)
        if not sender.publish(topic, payload):
            raise ConnectionError("the broker is gone")


_TRIGGERED: dict[int, int] = {}


def trigger(number: int, triggered_at: int) -> bytes:
    """Of a photo-eye whose wall clock says `triggered_at`, seen just now."""
    _TRIGGERED[number] = triggered_at = triggered_at // NS_PER_MS * NS_PER_MS
    return encode_json(Trigger(board_id=f"board-{number}", triggered_at=triggered_at, source="eye", age_ms=0.0))


def judged(inference: MqttSession, number: int, off: int) -> tuple[MqttSession, Topic, bytes]:
    while number not in _TRIGGERED:  # a busy machine
        time.sleep(0.001)
    board = f"board-{number}"
    identity = verdict_id(TOPICS.root, board, _TRIGGERED[number])
    return inference, TOPICS.verdict, verdict("solder", now_ns(), board, identity, off)


def verdict(category: Category, now: int, board_id: str = "board", identity: str = "", off: int = 0) -> bytes:
    return encode_json(
        Verdict(
            verdict_id=identity or str(uuid.uuid4()),
            board_id=board_id,
            status="ok",
            final_defect_type="폐기",
            category=category,
            confidence=0.9,
            gpio_signal=None,
            sides={},
            captured_at=now + off,
            judged_at=now,
            deadline_at=now + 2 * NS_PER_S,
            latency_ms=0.0,
            model=ModelRef(name="bench", sha256="0" * 64),
        )
    )


class Watcher:
    """Counts the outcomes that the actuator reports."""

    def __init__(self) -> None:
        self._outcomes: dict[str, int] = {}
        self._born = False
        self.subscriptions = (
            Subscription(exactly(TOPICS.actuation), self._hear),
            Subscription(exactly(TOPICS.status("actuator")), self._hear_status),
        )

    def wait_for_birth(self) -> None:
        _until(lambda: self._born, 20, "the actuator does not start")

    def wait_for(self, count: int) -> dict[str, int]:
        _until(lambda: sum(self._outcomes.values()) >= count, 20, "reports are missing")
        return dict(self._outcomes)

    def _hear(self, delivery: Delivery) -> None:
        outcome = decode_json(Actuation, delivery.payload).outcome
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1

    def _hear_status(self, delivery: Delivery) -> None:
        self._born |= decode_json(NodeStatus, delivery.payload).state == "online"


def _until(condition: Any, timeout: float, complaint: str) -> None:
    give_up = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(complaint)
        time.sleep(0.02)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def measure_disk(path: Path, count: int) -> list[float]:
    """Seconds of one small durable write in place: what no synced verdict can be faster than."""
    path.write_bytes(bytes(_PAGE))
    file = os.open(path, os.O_WRONLY | os.O_DSYNC)
    os.fsync(file)
    seconds = []
    for number in range(count):
        before = time.perf_counter()
        os.pwrite(file, bytes([number % 256]) * _PAGE, 0)
        seconds.append(time.perf_counter() - before)
        time.sleep(0.02)
    os.close(file)
    return seconds


def figures_of(times: Mapping[str, Any], disk: Sequence[float]) -> Figures:
    """Percentiles in ms, of each figure."""
    high = times["HIGH"]
    asked = ((AT_ONCE_PIN, AT_ONCE_MS), (DOWNSTREAM_PIN, DOWNSTREAM_MS))
    beyond = [length - ms / 1000 for pin, ms in asked for length in high[str(pin)]]
    published = times["CAPTURED_TO_HIGH"][: len(times["RECEIVED_TO_HIGH"])]
    samples = (times["RECEIVED_TO_HIGH"], published, times["DOWNSTREAM"], beyond, disk)
    return {name: _percentiles(values) for name, values in zip(LIMITS, samples, strict=True)}


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(1000 * each for each in seconds)
    at = {"p50": len(ordered) // 2, "p99": min(len(ordered) - 1, len(ordered) * 99 // 100), "max": -1}
    return {name: round(ordered[place], 3) for name, place in at.items()}


def promises(figures: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, limits in LIMITS.items():
        for which, most in limits.items():
            if most is not None:
                yield name, which, figures[name][which] <= most


def show(figures: Figures, given: argparse.Namespace) -> None:
    under_way = round(given.rate * DELAY_MS / 1000)
    title = f"{given.verdicts} verdicts of each kind, {given.rate:g}/s, {under_way} boards on their way downstream"
    table = Table("ms", "p50", "p99", "max", title=title, title_justify="left")
    for name, values in figures.items():
        table.add_row(name, *(_cell(values[which], LIMITS[name][which]) for which in ("p50", "p99", "max")))
    console = Console()
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in machine().items()), highlight=False)


def _cell(value: float, most: float | None) -> str:
    if most is None:
        return f"{value:.2f}"
    return f"[{'green' if value <= most else 'red'}]{value:.2f}[/] (≤ {most:g})"


if __name__ == "__main__":
    sys.exit(main())
