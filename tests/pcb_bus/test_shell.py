"""`python -m pcb_bus`: what a person does from a shell."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hand_fed import jpeg_of
from support.peer import WAIT_S, broker_settings
from support.probe import Probe

import pcb_bus.__main__ as shell
from broker import Broker
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import CommandFailed
from pcb_bus.runtime.service import Request, Service
from pcb_bus.runtime.settings import LineSettings

OpenProbe = Callable[..., Probe]
Run = Callable[..., int]


@pytest.fixture
def settings(broker: Broker) -> list[str]:
    return ["--port", str(broker.port), "--credentials", str(broker.credentials_folder)]


@pytest.fixture
def edge(broker: Broker) -> Iterator[Service]:
    """A node that can be told a rate, and gives a snapshot."""

    def set_rate(request: Request) -> dict[str, Any]:
        if request.command.params != {"fps": 5, "source": "spare"}:
            raise CommandFailed(f"not so: {request.command.params}")
        return {"fps": 5, "outlives_restart": False}

    def snapshot(_: Request) -> Frame:
        jpeg = jpeg_of(64, 48)
        times = {"triggered_at": None, "captured_at": 1_795_248_000_123_000_000}
        return Frame(side="left", board_id=None, frame_id="f", width=64, height=48, jpeg=jpeg, **times)

    node = Service("edge_publisher", "edge-left", LineSettings(broker=broker_settings(broker)))
    node.command("set", set_rate)
    node.command("snapshot", snapshot)
    node.tell(clock_offset_ms=-1234.5, clock_uncertainty_ms=0.4)
    node.health["camera"] = "no camera: [unplugged]"
    node.start()
    assert node.session.wait_connected(WAIT_S)
    yield node
    node.stop()


def test_a_command_from_a_shell(edge: Service, settings: list[str]) -> None:
    command = [sys.executable, "-m", "pcb_bus", "command", "edge-left", "set", "fps=5", "source=spare", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (json.loads(done.stdout), done.returncode) == ({"fps": 5, "outlives_restart": False}, 0)
    assert "until the node restarts" in done.stderr


def test_a_snapshot_becomes_a_file(
    edge: Service,
    settings: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell.main(["command", "edge-left", "snapshot", *settings]) == 0
    assert capsys.readouterr().out == "left-20261121-080000.jpg\n"
    assert (tmp_path / "left-20261121-080000.jpg").read_bytes() == jpeg_of(64, 48)


def test_what_goes_wrong_is_one_line_and_a_code(
    edge: Service, settings: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_PATIENCE_S", 0.3)
    for argv, code, words in (
        (["command", "edge-left", "set", "fps=9", *settings], 1, "edge-left: not so: {'fps': 9}"),
        (
            ["command", "edge-left", "sett", *settings],
            1,
            "edge-left: unknown command; this node knows ping, set, snapsho",
        ),
        (["command", "edge-right", "ping", *settings], 1, "edge-right did not answer ping within 0.3 s"),
        (["command", "edge-left", *settings], 2, "needs a node and a command"),
        (["command", "edge-left", "set", "fps", *settings], 2, "a parameter is NAME=VALUE"),
        (["nodes", "all", *settings], 2, "takes settings alone"),
        (["nodes", "--port", "0"], 2, "broker.port"),
        (["nodes", *settings, "--root", "pcb/line2"], 1, "no node has ever been on the line pcb/line2"),
        (["nodes", "--port", settings[1], "--credentials", "nowhere"], 1, "copy viewer.yaml from the broker's machine"),
        (["nodes", "--port", "1"], 1, "no broker at 127.0.0.1:1; --broker HOST names another"),
    ):
        assert shell.main(argv) == code
        out, said = capsys.readouterr()
        assert (out, words in said, said.count("\n")) == ("", True, 1), said
    assert shell.main(["sett"]) == 2
    assert "usage: python -m pcb_bus command" in capsys.readouterr().err


def test_the_nodes_and_how_they_are(edge: Service, settings: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["nodes", *settings]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "edge-left" in line]
    for words in ("degraded", "-1,234.5 ± 0.4 ms", "no camera: [unplugged]", "s ago"):
        assert words in row


def test_watching_goes_on_until_it_is_ended(edge: Service, settings: list[str], mqtt_probe: OpenProbe) -> None:
    photo_eye = mqtt_probe("trigger")
    command = [sys.executable, "-m", "pcb_bus", "watch", *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        status = next(line for line in watching.stdout if "status edge-left" in line)
        assert "degraded; no camera" in status
        photo_eye.publish("pcb/trigger", encode_json(Trigger(board_id="b1", triggered_at=now_ns(), source="eye")))
        assert next(line for line in watching.stdout if "trigger" in line).endswith("b1 by eye\n")
        os.kill(watching.pid, signal.SIGINT)
        assert (watching.wait(WAIT_S), watching.stderr.read()) == (0, "")
