"""The node as its own process, killed and started again."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import pytest
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.times import now_ns
from simulator.bare_board import draw_board

Line = Any  # see conftest
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(broker: Broker, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Start]:
    """Starts `python -m inference_subscriber`."""

    def run(*options: str) -> subprocess.Popen[bytes]:
        command = [
            *(sys.executable, "-m", "inference_subscriber", "--port", str(broker.port)),
            *("--broker.credentials", str(broker.credentials_folder), "--log.directory", str(tmp_path)),
            *("--inference.outbox", str(tmp_path / "outbox.db")),
            *("--inference.evidence_outbox", str(tmp_path / "evidence.db"), *options),
        ]
        process = subprocess.Popen(command, cwd=pytestconfig.rootpath, stderr=subprocess.DEVNULL)
        stack.callback(process.wait, 10)
        stack.callback(process.kill)
        return process

    with ExitStack() as stack:
        yield run


def wait_state(viewer: Probe, state: str, since: int) -> None:
    """Until the node says so, later than `since` (monotonic ns)."""
    viewer.wait_for(
        "pcb/status/inference",
        lambda each: json.loads(each.payload)["state"] == state and each.at_ns > since,
        timeout=30,
    )


def test_a_drawn_board_is_judged_by_the_shipped_model(line: Line, start: Start) -> None:
    started = time.monotonic_ns()
    process = start()
    wait_state(line.viewer, "online", started)
    at = line.trigger("drawn")
    for side, defects in (("left", ()), ("right", ("spurious_copper",))):
        jpeg = cv2.imencode(".jpg", draw_board(3, 640, 480, defects).image)[1].tobytes()
        line.show(side, jpeg, board_id="drawn", triggered_at=at, width=640, height=480)
    verdict = line.verdict_on("drawn")
    assert (verdict["category"], verdict["status"]) == ("scrap", "ok")
    assert verdict["model"]["name"] == "boardline-starter"
    process.terminate()
    assert process.wait(5) == 0


def test_triggers_of_a_killed_node_come_back_and_give_one_verdict_each(line: Line, start: Start) -> None:
    began = time.monotonic_ns()
    jpeg = cv2.imencode(".jpg", draw_board(3, 640, 480).image)[1].tobytes()
    first = start("--inference.join_timeout_ms", "60000")  # so that a slow machine cannot make a board old
    wait_state(line.viewer, "online", began)
    fresh = line.trigger("fresh", now_ns() + 60_000_000_000)
    old = line.trigger("old", now_ns() - 60_000_000_000)
    assert line.verdict_on("old")["category"] == "unjudged"
    first.kill()
    wait_state(line.viewer, "offline", began)
    line.trigger("while-away", now_ns() - 60_000_000_000)

    restarted = time.monotonic_ns()
    start("--inference.join_timeout_ms", "10000")  # after half of which it asks
    asked = line.cameras["left"].wait_for(
        "pcb/command/edge-left", lambda each: each.at_ns > restarted and b"fresh" in each.payload, timeout=30
    )
    assert json.loads(asked.payload)["params"] == {"board_id": "fresh", "triggered_at": fresh}
    for side in ("left", "right"):
        line.show(side, jpeg, board_id="fresh", triggered_at=fresh, width=640, height=480)
    assert line.verdict_on("fresh")["status"] == "ok"
    assert line.verdict_on("while-away")["category"] == "unjudged"
    line.trigger("last", old - 1)
    line.verdict_on("last")
    # A node killed between a verdict and the acknowledgement of its trigger says it again: under the same id.
    passes = {(verdict["board_id"], verdict["verdict_id"]) for verdict in line.verdicts(4)}
    assert sorted(board_id for board_id, _ in passes) == ["fresh", "last", "old", "while-away"]


def test_a_verdict_that_nobody_recorded_outlives_kill_9(line: Line, start: Start) -> None:
    line.recorder.subscribe("pcb/resend/verdict")
    began = time.monotonic_ns()
    first = start()
    wait_state(line.viewer, "online", began)
    line.trigger("b", now_ns() - 60_000_000_000)
    said = line.viewer.wait_for("pcb/verdict")
    first.kill()
    wait_state(line.viewer, "offline", began)
    restarted = time.monotonic_ns()
    start()
    again = line.recorder.wait_for("pcb/resend/verdict", lambda each: each.at_ns > restarted, timeout=30)
    assert again.payload == said.payload
    assert len({each.payload for each in line.viewer.received("pcb/verdict")}) == 1
