"""A whole service process: born, killed, asked to stop, and dying of its own faults."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
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

        def start_service(fault: str = "none", broker: Broker | None = None) -> subprocess.Popen[str]:
            port, folder = (broker.port, broker.credentials_folder) if broker else (free_port, tmp_path)
            command = [sys.executable, str(TINY), "--port", str(port), "--broker.credentials", str(folder)]
            process = subprocess.Popen(
                [*command, "--recorder.fault", fault],
                cwd=tmp_path,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
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


def wait_for_line(process: subprocess.Popen[str], part: str) -> None:
    assert process.stderr is not None
    assert any(part in line for line in process.stderr)


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
    wait_for_line(process, "no broker at")
    assert seconds_to_stop(process) < 5
    assert process.returncode == 0


@pytest.mark.timeout(180)
def test_a_service_stops_under_bursts_of_signals(start: Start) -> None:
    for _ in range(6):
        running = [start() for _ in range(5)]
        for process in running:
            wait_for_line(process, "no broker at")
        burst_began = time.monotonic()
        while any(process.poll() is None for process in running) and time.monotonic() < burst_began + 5:
            for process, number in product(running, (signal.SIGTERM, signal.SIGINT)):
                process.send_signal(number)
        assert [process.poll() for process in running] == [0] * 5


def test_a_service_stops_whose_worker_is_stuck_while_the_broker_stands_still(
    start: Start, viewer: Probe, broker: Broker
) -> None:
    process = start("stuck", broker)
    wait_for(viewer, "online")
    with broker.frozen():
        assert seconds_to_stop(process) < 5
    assert process.returncode == 0


def test_a_service_that_hangs_while_it_stops_is_ended_all_the_same(start: Start) -> None:
    process = start("hangs at stop")
    wait_for_line(process, "no broker at")
    assert seconds_to_stop(process) < 5
    assert process.returncode == 1
    wait_for_line(process, "in wait_for_ever")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_still_being_built_just_ends(start: Start, number: signal.Signals) -> None:
    process = start("slow to build")
    wait_for_line(process, "building")
    assert seconds_to_stop(process, number) < 5
    assert process.returncode == -number


def test_a_signal_that_comes_when_all_is_done_changes_nothing(start: Start) -> None:
    process = start("late signal")
    wait_for_line(process, "no broker at")
    assert seconds_to_stop(process) < 5
    assert process.returncode == 0


def test_a_dead_thread_ends_the_service_with_code_1(start: Start, broker: Broker) -> None:
    process = start("dies", broker)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "worker died; the service ends so that it can be started afresh" in errors
    assert "the thread's last words" in errors


def test_a_dead_network_thread_does_not_end_the_service(
    start: Start, viewer: Probe, broker: Broker, mqtt_probe: OpenProbe
) -> None:
    process = start("deaf", broker)
    wait_for(viewer, "online")
    mqtt_probe("trigger").publish("pcb/trigger", b"{}", qos=0)
    viewer.wait_for_count("pcb/status/recorder", 2, lambda each: status(each) == ("online", ""))
    assert seconds_to_stop(process) < 5
    assert process.returncode == 0


def test_a_watchdog_s_signal_shows_in_the_log_where_each_thread_was(start: Start) -> None:
    process = start("stuck")
    wait_for_line(process, "no broker at")
    process.send_signal(signal.SIGABRT)
    wait_for_line(process, "Fatal Python error: Aborted")
    wait_for_line(process, "in wait_for_ever")
