"""Verdict received → pin high, of `python -m actuator` on mock pins at a real broker, as its own metric says.

    PYTHONPATH=.:tests .venv/bin/python tests/actuator/measure_latency.py

The disk's own part, one write of 8 KB with fdatasync, is measured beside it; with TMPDIR=/dev/shm it is left out.
"""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from support.ports import free_port
from support.probe import Probe

from broker import Broker
from pcb_bus.clock import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.codec import encode_json
from pcb_bus.messages import ModelRef, Verdict

VERDICTS, PER_SECOND = 400, 20
METRIC = "boardline_actuator_received_to_high_seconds"


def verdict() -> bytes:
    now = now_ns()
    return encode_json(
        Verdict(
            verdict_id=str(uuid.uuid4()),
            board_id="b",
            status="ok",
            final_defect_type="폐기",
            category="scrap",
            confidence=0.9,
            gpio_signal=None,
            sides={},
            captured_at=now - 50 * NS_PER_MS,
            judged_at=now,
            deadline_at=now + 2 * NS_PER_S,
            latency_ms=50.0,
            model=ModelRef(name="starter", sha256="0" * 64),
        )
    )


@contextmanager
def actuator(broker: Broker, folder: Path, metrics_port: int) -> Iterator[None]:
    command = [
        *(sys.executable, "-m", "actuator", "--port", str(broker.port)),
        *("--broker.credentials", str(broker.credentials_folder), "--metrics.port", str(metrics_port)),
        *("--ledger", str(folder / "ledger.db"), "--log.directory", str(folder / "log")),
    ]
    environment = {**os.environ, "GPIOZERO_PIN_FACTORY": "mock"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def measure(folder: Path) -> list[tuple[float, float]]:
    """Cumulative share of verdicts, by upper bound in seconds."""
    metrics_port = free_port()
    with Broker(folder / "broker", free_port()) as broker, Probe(broker, "viewer") as viewer:
        viewer.subscribe("pcb/actuation", "pcb/status/actuator")
        with actuator(broker, folder, metrics_port), Probe(broker, "inference") as inference:
            viewer.wait_for("pcb/status/actuator")
            for _ in range(VERDICTS):
                inference.publish("pcb/verdict", verdict())
                time.sleep(1 / PER_SECOND)
            viewer.wait_for_count("pcb/actuation", VERDICTS)
            return shares(scrape(metrics_port))


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def shares(text: str) -> list[tuple[float, float]]:
    (family,) = (each for each in text_string_to_metric_families(text) if each.name == METRIC)
    buckets = [(float(each.labels["le"]), each.value) for each in family.samples if each.name.endswith("_bucket")]
    total = max(count for _, count in buckets)
    return [(bound, count / total) for bound, count in buckets]


def quantile(cumulative: list[tuple[float, float]], share: float) -> float:
    """Linear within a bucket, as Prometheus does."""
    low, below = 0.0, 0.0
    for high, upto in cumulative:
        if upto >= share:
            return low + (high - low) * (share - below) / (upto - below)
        low, below = high, upto
    return low


def measure_disk(folder: Path) -> list[float]:
    """Seconds of one small durable write: what the ledger cannot be faster than."""
    seconds = []
    with (folder / "disk").open("wb", buffering=0) as file:
        for _ in range(200):
            before = time.perf_counter()
            file.write(bytes(8240))
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - before)
            time.sleep(1 / PER_SECOND)
    return sorted(seconds)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        disk = measure_disk(Path(name))
        cumulative = measure(Path(name))
    print(f"disk: p50 {1000 * disk[100]:.2f} ms, p99 {1000 * disk[198]:.2f} ms")
    p50, p99 = (1000 * quantile(cumulative, share) for share in (0.5, 0.99))
    print(f"received to high, {VERDICTS} verdicts: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


if __name__ == "__main__":
    main()
