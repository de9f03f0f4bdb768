"""A whole service process: born, killed, asked to stop, and dying of its own faults."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.probe import Probe, Received

from broker import Broker
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import NodeStatus

TINY = Path(__file__).with_name("tiny_service.py")
OpenProbe = Callable[..., Probe]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, free_port: int) -> Iterator[Start]:
    """Starts the tiny service; without a broker it looks for one where there is none."""
    with ExitStack() as running:

        def start_service(*argv: str, broker: Broker | None = None) -> subprocess.Popen[str]:
            port, folder = (broker.port, broker.credentials_folder) if broker else (free_port, tmp_path)
            command = [sys.executable, str(TINY), "--port", str(port), "--broker.credentials", str(folder), *argv]
            process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
            running.callback(process.communicate)
            running.callback(process.kill)
            return process

        yield start_service


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe("pcb/status/recorder")
    return probe


def status(message: Received) -> tuple[str, str]:
    found = decode_json(NodeStatus, message.payload)
    return found.state, found.detail


def wait_for(viewer: Probe, state: str, detail: str = "") -> None:
    viewer.wait_for("pcb/status/recorder", lambda each: status(each) == (state, detail))


def seconds_to_stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> float:
    before = time.monotonic()
    process.send_signal(number)
    process.wait(20)
    return time.monotonic() - before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_asked_to_stop_says_goodbye(
    start: Start, viewer: Probe, broker: Broker, number: signal.Signals
) -> None:
    process = start(broker=broker)
    wait_for(viewer, "online")
    assert seconds_to_stop(process, number) < 5
    assert process.returncode == 0
    wait_for(viewer, "offline", "stopped")


def test_a_killed_service_is_missed(start: Start, viewer: Probe, broker: Broker) -> None:
    process = start(broker=broker)
    wait_for(viewer, "online")
    process.kill()
    wait_for(viewer, "offline", "connection lost")


def test_a_service_stops_while_the_broker_stands_still(start: Start, viewer: Probe, broker: Broker) -> None:
    process = start(broker=broker)
    wait_for(viewer, "online")
    with broker.frozen():
        assert seconds_to_stop(process) < 5
    assert process.returncode == 0


def test_a_service_stops_that_never_found_its_broker(start: Start) -> None:
    process = start()
    assert process.stderr is not None
    assert "no broker at" in process.stderr.readline()
    assert seconds_to_stop(process) < 5
    assert process.returncode == 0


def test_a_dead_thread_ends_the_service_with_code_1(start: Start, viewer: Probe, broker: Broker) -> None:
    process = start("--recorder.dies", broker=broker)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "worker died; the service ends so that it can be started afresh" in errors
    assert "the worker's last words" in errors


def test_a_dead_network_thread_does_not_end_the_service(
    start: Start, viewer: Probe, broker: Broker, mqtt_probe: OpenProbe
) -> None:
    process = start("--recorder.deaf", broker=broker)
    wait_for(viewer, "online")
    mqtt_probe("trigger").publish("pcb/trigger", b"{}", qos=0)
    viewer.wait_for_count("pcb/status/recorder", 2, lambda each: status(each) == ("online", ""))
    assert seconds_to_stop(process) < 5
    assert process.returncode == 0
