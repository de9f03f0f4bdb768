"""An edge without its network for a while: `python -m benchmarks.edge_cut [--cut-s S] [--json FILE]`.

The edge of `benchmarks.edge`, alone on its line, so that it announces the boards; boards go by all the time. It reaches
the broker through a proxy, which breaks its connections and refuses new ones for 60 s. Memory is what the edge's
process holds, once a second. Exit code 1 when it grows, when the first frame after the cut is old, or when a board that
went by during the cut is in no frame and in no report.
"""

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.bus import TOPICS, session
from benchmarks.edge import FPS, Bench, Frames, running
from benchmarks.machine import machine, rss_mib
from broker import Broker
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Event, Frame, Recorded, Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.contract.topics import exactly
from pcb_bus.mqtt.session import Delivery, Subscription
from pcb_bus.runtime.settings import BrokerSettings
from simulator.workplace import free_ports

_WARM_UP_S, _AFTER_S, _PATIENCE_S = 15.0, 15.0, 60.0
_MOST_GROWTH = 1.05
_OLDEST_NS = 2 * NS_PER_S  # inference drops older frames


class Wire:
    """Carries TCP connections to a port of this machine, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target, self._whole = target, True
        self._carried: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Within the block connections are broken, and new ones end at once."""
        self._whole = False
        for each in self._carried:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._carried.clear()
        try:
            yield
        finally:
            self._whole = True

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if not self._whole:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            self._carried += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for each in (one, other):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Heard:
    """What came from the edge: when each frame was captured and came, and of which board; boards announced and lost."""

    frames: list[tuple[int, int, str | None]] = field(default_factory=list)
    announced: dict[str, int] = field(default_factory=dict)
    reported: int = 0

    def frame(self, delivery: Delivery) -> None:
        frame = decode_msgpack(Frame, delivery.payload)
        self.frames.append((frame.captured_at, delivery.received_at, frame.board_id))

    def trigger(self, delivery: Delivery) -> str:
        """The id of its pass, which a recorder names."""
        trigger = decode_json(Trigger, delivery.payload)
        self.announced[trigger.board_id] = trigger.triggered_at
        return verdict_id(TOPICS.root, trigger.board_id, trigger.triggered_at)

    def event(self, delivery: Delivery) -> None:
        event = decode_json(Event, delivery.payload)
        if "could not be sent in time" in event.message:
            self.reported += int(event.details["count"])


def measure(bench: Bench, wire: Wire, heard: Heard, cut_s: float) -> dict[str, Any]:
    with bench.edge(trigger="presence") as process:

        def watch(seconds: float) -> list[float]:
            """Memory once a second, MB."""
            taken = []
            for _ in range(round(seconds)):
                time.sleep(1)
                taken.append(rss_mib(process.pid) * 2**20 / 1e6)
            return taken

        _wait(lambda: bool(heard.frames), "no frame comes from the edge")
        before = watch(_WARM_UP_S)
        with wire.cut():
            cut_at = now_ns()
            during = watch(cut_s)
        mended_at = now_ns()
        _wait(lambda: any(came > mended_at for _, came, _ in heard.frames), "no frame comes after the cut")
        _wait(lambda: heard.reported > 0, "the edge reports no board of the cut")
        after = watch(_AFTER_S)
    captured, came, _ = next(each for each in heard.frames if each[1] > mended_at)
    in_frames = {board for _, _, board in heard.frames}
    of_cut = {board for board, at in heard.announced.items() if cut_at <= at <= mended_at}
    return {
        "cut_s": cut_s,
        "memory_mb": {"before": before[-1], "most during": max(during), "after": after[-1]},
        "first_frame_ms": {"age": (came - captured) / NS_PER_MS, "after the cut": (came - mended_at) / NS_PER_MS},
        "first_frame_from_after_the_cut": captured > mended_at,
        "boards_of_the_cut": {
            "went by": len(of_cut),
            "in frames": len(of_cut & in_frames),
            "reported": heard.reported,
        },
    }


def _wait(what: Callable[[], bool], or_else: str) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(or_else)
        time.sleep(0.02)


def kept(figures: dict[str, Any]) -> bool:
    memory, boards = figures["memory_mb"], figures["boards_of_the_cut"]
    flat = max(memory["most during"], memory["after"]) <= _MOST_GROWTH * memory["before"]
    told = boards["went by"] > 0 and boards["in frames"] + boards["reported"] >= boards["went by"]
    fresh = figures["first_frame_from_after_the_cut"] and figures["first_frame_ms"]["age"] * NS_PER_MS <= _OLDEST_NS
    return bool(flat and told and fresh)


def main() -> int:
    given = _arguments()
    where, heard = machine(), Heard()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="boardline-")))
        port, camera_port = free_ports(2)
        broker = stack.enter_context(Broker(folder / "broker", port))
        camera = stack.enter_context(running("benchmarks.edge_camera", "camera", str(camera_port), str(FPS)))
        assert camera.stdout is not None
        camera.stdout.readline()
        way, wire = BrokerSettings(port=port, credentials=broker.credentials_folder), Wire(port)

        def record(delivery: Delivery) -> None:
            recorder.publish(TOPICS.recorded, encode_json(Recorded(triggers=(heard.trigger(delivery),))))

        stack.enter_context(session("inference", way, Subscription(TOPICS.frames, heard.frame, qos=0)))
        told = [Subscription(exactly(topic), record) for topic in (TOPICS.trigger, TOPICS.resend_trigger)]
        recorder = stack.enter_context(session("recorder", way, *told, Subscription(TOPICS.all_events, heard.event)))
        url, by_wire = f"http://127.0.0.1:{camera_port}/", way.model_copy(update={"port": wire.port})
        figures = measure(Bench(folder, by_wire, url, camera_port, Frames(), recorder, 0), wire, heard, given.cut_s)
    console = Console()
    console.print(f"{where['cpu']}, {where['cores']} cores, load {where['load']} before the run")
    for name, value in figures.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        console.print(f"{name}: " + ", ".join(f"{part} {_shown(each)}".strip() for part, each in parts))
    console.print("kept" if kept(figures) else "MISSED: memory flat, the first frame fresh, every board told")
    if given.json:
        given.json.write_text(json.dumps({"machine": where, **figures}, indent=2) + "\n")
    return 0 if kept(figures) else 1


def _shown(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.edge_cut", description=__doc__)
    parser.add_argument("--cut-s", type=float, default=60.0, help="how long the network is away (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
