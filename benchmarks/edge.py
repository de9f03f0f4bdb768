"""A whole edge, as a process: `python -m benchmarks.edge [--seconds S] [--trigger MODE] [--json FILE]`.

A network camera in a process of its own gives 30 pictures of 640x480 a second, boards on a moving belt, as MJPEG over
HTTP; a real broker takes the frames. CPU is user and system time of the edge's process by the kernel, as a share of one
core or for each frame that was published, after three seconds to warm up. Exit code 1 when a promise is missed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.request import urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.bus import TOPICS, session
from benchmarks.edge_camera import number_of
from benchmarks.machine import machine, rss_mib
from broker import Broker
from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.times import now_ns
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime.settings import BrokerSettings
from simulator.workplace import free_ports

FPS = 30
_WARM_UP_S, _PATIENCE_S = 3.0, 60.0
_FASTER = "60"  # frames a second at most, so that pictures that come a little early are not left out

PROMISES: dict[str, tuple[float, str]] = {
    "CPU, share of one core": (25.0, "%"),
    "memory": (150.0, "MB"),
    "start to first frame": (3.0, "s"),
    "CPU a frame, passed through, against the guide": (0.2, "x"),
    "CPU a frame, encoded again, against the guide": (1.0, "x"),
    "trigger to frame, median": (15.0, "ms"),
    "pictures of two cameras that were dropped": (0.0, ""),
}
"""Each at most."""


class Frames:
    """The frames that arrive, and the pictures that are missing among them."""

    def __init__(self) -> None:
        self.count = 0
        self.dropped = 0
        self.boards: set[str] = set()
        self._last: dict[str, int] = {}
        self._changed = threading.Condition()

    def forget(self) -> None:
        """Of the pictures so far none is missing."""
        with self._changed:
            self._last.clear()
            self.dropped = 0

    @property
    def sides(self) -> set[str]:
        """Those that have sent something since."""
        return set(self._last)

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(what, _PATIENCE_S):
                raise TimeoutError("no frame comes from the edge")

    def hear(self, delivery: Delivery) -> None:
        frame = decode_msgpack(Frame, delivery.payload)
        number = number_of(frame.jpeg)
        with self._changed:
            self.count += 1
            if frame.board_id is not None:
                self.boards.add(frame.board_id)
            if number is not None:
                self.dropped += max(0, number - self._last.get(frame.side, number - 1) - 1)
                self._last[frame.side] = number
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything is."""

    folder: Path
    broker: BrokerSettings
    camera: str
    camera_port: int
    frames: Frames
    photo_eye: MqttSession
    seconds: float

    @contextmanager
    def edge(self, side: str = "left", **options: str) -> Iterator[subprocess.Popen[bytes]]:
        """An edge on the camera, with keys of its section (`camera__rotate`: of a section within)."""
        given = {
            "--side": side,
            "--source": self.camera,
            "--sides": '["left"]' if options.get("trigger") == "presence" else '["left", "right"]',
            "--port": str(self.broker.port),
            "--broker.credentials": str(self.broker.credentials),
            "--log.directory": str(self.folder / "log"),
            "--edge.outbox": str(self.folder / "outbox"),
            "--edge.fps": str(FPS),
            **{f"--edge.{key.replace('__', '.')}": value for key, value in options.items()},
        }
        with running("edge_publisher", *(word for pair in given.items() for word in pair)) as process:
            yield process


@contextmanager
def running(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PCB_")}
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """User and system time of it so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def measure_presence(bench: Bench, trigger: str) -> dict[str, float]:
    """The whole edge as it is by default."""
    with bench.edge(trigger=trigger) as process:
        bench.frames.wait_for(lambda: bench.frames.count > 0)
        time.sleep(_WARM_UP_S)
        boards, before, begun = len(bench.frames.boards), cpu_s(process), time.monotonic()
        time.sleep(bench.seconds)
        share = (cpu_s(process) - before) / (time.monotonic() - begun)
        return {
            "CPU, share of one core": 100 * share,
            "memory": rss_mib(process.pid) * 2**20 / 1e6,
            "boards": len(bench.frames.boards) - boards,
        }


def measure_start(bench: Bench, times: int = 3) -> float:
    took = []
    for _ in range(times):
        before, begun = bench.frames.count, time.monotonic()
        with bench.edge(trigger="free_run"):
            bench.frames.wait_for(lambda before=before: bench.frames.count > before)  # type: ignore[misc]
            took.append(time.monotonic() - begun)
    return median(took)


def measure_a_frame(bench: Bench, process: subprocess.Popen[bytes], published: Callable[[], int]) -> float:
    """CPU of the process for each frame that it published, ms."""
    first, end = published(), time.monotonic() + _PATIENCE_S
    while published() == first and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(_WARM_UP_S)
    before, frames = cpu_s(process), published()
    time.sleep(bench.seconds)
    return 1000 * (cpu_s(process) - before) / (published() - frames)


def measure_frames(bench: Bench) -> dict[str, float]:
    """CPU a frame, ms: of the usual guide, of an edge that passes pictures through, of one that has to turn them."""

    def posted() -> int:
        with urlopen(f"http://127.0.0.1:{bench.camera_port}/posted") as answer:
            return int(answer.read())

    with running("benchmarks.edge_camera", "guide", bench.camera, str(bench.camera_port)) as process:
        guide = measure_a_frame(bench, process, posted)
    ways = {"passed through": {}, "encoded again": {"camera__rotate": "180"}}
    figures = {"the guide": guide}
    for name, options in ways.items():
        with bench.edge(trigger="free_run", fps=_FASTER, **options) as process:
            figures[name] = measure_a_frame(bench, process, lambda: bench.frames.count)
    return figures


def measure_triggers(bench: Bench, times: int = 200) -> list[float]:
    """From the publishing of a trigger to its frame, both over the broker, ms; they come at any moment of a period."""
    took: list[float] = []
    rng = random.Random(1)
    with bench.edge(trigger="mqtt") as process:
        while not took and process.poll() is None:  # until it listens and has pictures
            took = [each for each in [_answer_ms(bench, "first", 0.5)] if each is not None]
        for number in range(times):
            time.sleep(rng.uniform(0.05, 0.12))
            answer = _answer_ms(bench, f"board-{number}", _PATIENCE_S)
            if answer is None:
                raise TimeoutError("the edge does not answer a trigger")
            took.append(answer)
    return took[1:]


def _answer_ms(bench: Bench, board: str, patience_s: float) -> float | None:
    begun, board = time.monotonic(), f"{board}-{now_ns()}"
    trigger = Trigger(board_id=board, triggered_at=now_ns(), source="bench", age_ms=0.0)
    bench.photo_eye.publish(TOPICS.trigger, encode_json(trigger))
    while time.monotonic() - begun < patience_s:
        if board in bench.frames.boards:
            return 1000 * (time.monotonic() - begun)
        time.sleep(0.0002)
    return None


def measure_two(bench: Bench) -> dict[str, float]:
    """Two edges at once, each of which publishes every picture."""
    with bench.edge("left", trigger="free_run", fps=_FASTER), bench.edge("right", trigger="free_run", fps=_FASTER):
        bench.frames.forget()
        bench.frames.wait_for(lambda: len(bench.frames.sides) == 2)
        time.sleep(_WARM_UP_S)
        bench.frames.forget()
        before = bench.frames.count
        time.sleep(bench.seconds)
        return {"frames": bench.frames.count - before, "dropped": bench.frames.dropped}


def measure(bench: Bench, trigger: str) -> dict[str, Any]:
    frames = measure_frames(bench)
    triggers = measure_triggers(bench)
    return {
        "presence": measure_presence(bench, trigger),
        "start_s": measure_start(bench),
        "cpu_ms_a_frame": frames,
        "trigger_ms": {"n": len(triggers), "p50": median(triggers), "p95": quantiles(triggers, n=20)[18]},
        "two_cameras": measure_two(bench),
    }


def promised(figures: dict[str, Any]) -> dict[str, float]:
    """The figures that `PROMISES` names."""
    frames, presence = figures["cpu_ms_a_frame"], figures["presence"]
    return {
        "CPU, share of one core": presence["CPU, share of one core"],
        "memory": presence["memory"],
        "start to first frame": figures["start_s"],
        "CPU a frame, passed through, against the guide": frames["passed through"] / frames["the guide"],
        "CPU a frame, encoded again, against the guide": frames["encoded again"] / frames["the guide"],
        "trigger to frame, median": figures["trigger_ms"]["p50"],
        "pictures of two cameras that were dropped": figures["two_cameras"]["dropped"],
    }


def main() -> int:
    given = _arguments()
    where = machine()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boardline-")))
        port, camera_port = free_ports(2)
        broker = stack.enter_context(Broker(folder / "broker", port))
        camera = stack.enter_context(running("benchmarks.edge_camera", "camera", str(camera_port), str(FPS)))
        assert camera.stdout is not None
        camera.stdout.readline()
        way, frames = BrokerSettings(port=port, credentials=broker.credentials_folder), Frames()
        stack.enter_context(session("inference", way, Subscription(TOPICS.frames, frames.hear, qos=0)))
        photo_eye = stack.enter_context(session("trigger", way))
        url = f"http://127.0.0.1:{camera_port}/"
        bench = Bench(folder, way, url, camera_port, frames, photo_eye, given.seconds)
        figures = measure(bench, given.trigger)
    kept = show(figures, where, given.trigger)
    if given.json:
        given.json.write_text(json.dumps({"machine": where, **figures}, indent=2) + "\n")
    return 0 if kept else 1


def show(figures: dict[str, Any], where: dict[str, object], trigger: str) -> bool:
    """The table; whether every promise is kept."""
    console, kept = Console(), True
    console.print(f"{where['cpu']}, {where['cores']} cores, load {where['load']} before the run; mode {trigger}")
    table = Table("figure", "measured", "at most", "")
    for name, value in promised(figures).items():
        limit, unit = PROMISES[name]
        kept &= value <= limit
        verdict = "kept" if value <= limit else "MISSED"
        table.add_row(name, f"{value:.2f} {unit}", f"{limit:g} {unit}", verdict)
    console.print(table)
    frames = ", ".join(f"{name} {value:.2f}" for name, value in figures["cpu_ms_a_frame"].items())
    triggers, two = figures["trigger_ms"], figures["two_cameras"]
    console.print(f"CPU a frame, ms: {frames}")
    console.print(f"trigger to frame, n {triggers['n']}: p50 {triggers['p50']:.1f} ms, p95 {triggers['p95']:.1f} ms")
    console.print(f"two cameras: {two['frames']} frames; boards seen: {figures['presence']['boards']}")
    return kept


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.edge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--trigger", default="presence", help="mode of the whole edge (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
