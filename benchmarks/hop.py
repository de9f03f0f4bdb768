"""One hop over the broker, with and without TLS: `python -m benchmarks.hop [--frames N] [--rate R] [--json FILE]`.

Frames of 60 KB from an edge's session to inference's, as the line sends them: from the call of `publish` until the
other session hands the frame over. Each has a process of its own, as on the line: in one, they would wait for each
other's turn in Python. Both read the clock that the machine has since its start. Exit code 1 when the promised figure
is missed.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bus import TOPICS, session
from benchmarks.machine import machine
from broker import Broker
from pcb_bus.mqtt.session import Delivery, Subscription
from pcb_bus.runtime.settings import BrokerSettings
from simulator.workplace import free_ports

FRAME_BYTES = 60_000
MOST_P50_MS = 1.0
_LOST_S = 2.0


def main() -> int:
    given = _arguments()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="boardline-") as folder:
        for number, tls in enumerate((False, True)):
            figures["TLS" if tls else "plain"] = measure(Path(folder) / str(number), tls, given.frames, given.rate)
    kept = figures["TLS"]["p50_ms"] <= MOST_P50_MS
    show(figures, kept)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if kept else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.hop", description=__doc__)
    parser.add_argument("--frames", type=int, default=900, help="each way")
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


def measure(folder: Path, tls: bool, frames: int, rate: float) -> dict[str, float]:
    """Over a broker of its own, after a second to warm up."""
    plain_port, tls_port = free_ports(2)
    with Broker(folder, plain_port, tls_port=tls_port if tls else None) as broker:
        way = BrokerSettings(port=tls_port if tls else plain_port, credentials=broker.credentials_folder)
        with receiver(way) as arrived, session("edge-left", way) as edge:
            took, lost = [], 0
            payload, topic = bytes(range(256)) * (FRAME_BYTES // 256), TOPICS.frame("left")
            begin = time.perf_counter()
            for number in range(frames + round(rate)):
                time.sleep(max(0.0, begin + number / rate - time.perf_counter()))
                sent = time.perf_counter()
                edge.publish(topic, payload, qos=0)
                if not arrived.poll(_LOST_S):
                    lost += 1
                elif number >= rate:
                    took.append((arrived.recv() - sent) * 1000)
                else:
                    arrived.recv()
    percentiles = quantiles(took, n=100)
    return {
        "frames": len(took),
        "lost": lost,
        "p50_ms": percentiles[49],
        "p99_ms": percentiles[98],
        "max_ms": max(took),
    }


@contextmanager
def receiver(way: BrokerSettings) -> Iterator[Connection]:
    """The moments at which frames arrive in a process of its own, while the context is open."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(way, theirs))
    process.start()
    try:
        ours.recv()  # it is there
        yield ours
    finally:
        ours.send("enough")
        process.join()


def receive(way: BrokerSettings, told: Connection) -> None:
    """What that process does."""

    def note(_: Delivery) -> None:
        told.send(time.perf_counter())

    with session("inference", way, Subscription(TOPICS.frames, note, qos=0)):
        told.send("ready")
        told.recv()


def show(figures: dict[str, Any], kept: bool) -> None:
    console, where = Console(), figures["machine"]
    console.print(f"{where['cpu']}, {where['cores']} cores, load {where['load']} before the run")
    table = Table("60 KB over", *(name.replace("_", ", ") for name in figures["TLS"]))
    for name in ("plain", "TLS"):
        table.add_row(name, *(f"{value:.2f}".removesuffix(".00") for value in figures[name].values()))
    console.print(table)
    console.print(f"{'kept' if kept else 'MISSED'}: p50 over TLS at most {MOST_P50_MS:g} ms")


if __name__ == "__main__":
    sys.exit(main())
