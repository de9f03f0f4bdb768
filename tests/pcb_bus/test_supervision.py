"""What systemd hears of a service, over a socket as it makes one, and what its status lamp shows."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from support.peer import WAIT_S, broker_settings, until
from support.probe import Probe
from support.systemd import Systemd

from broker import Broker
from pcb_bus.contract.topics import exactly
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import FACTORY_VARIABLE, Lamp, is_lit
from pcb_bus.runtime.process import tell_supervisor
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings
from pcb_bus.runtime.workers import Turn

TINY = Path(__file__).with_name("tiny_service.py")
Launch = Callable[..., Service]


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, free_port: int, tmp_path: Path) -> Iterator[Launch]:
    """Starts `edge-left`, which is quick to notice; without a broker it looks for one where there is none."""
    for name, seconds in {"_STUCK_S": 0.1, "_FEED_S": 0.02, "_LOOK_S": 0.02, "_LAMP_S": 0.01}.items():
        monkeypatch.setattr(f"pcb_bus.runtime.service.{name}", seconds)
    with ExitStack() as ending:

        def started(
            declare: Callable[[Service], object] = lambda _: None,
            broker: Broker | None = None,
            led_pin: int | None = None,
        ) -> Service:
            login = broker_settings(broker) if broker else BrokerSettings(port=free_port, credentials=tmp_path)
            made = Service("edge_publisher", "edge-left", LineSettings(broker=login, led_pin=led_pin))
            declare(made)
            made.start()
            ending.callback(made.stop)
            return made

        yield started


def test_a_process_says_when_it_is_ready_that_it_lives_how_it_is_and_when_it_stops(
    systemd: Systemd, tmp_path: Path, free_port: int
) -> None:
    command = [sys.executable, str(TINY), "--port", str(free_port), "--broker.credentials", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            systemd.wait_for("READY=1")
            assert "STATUS=online" in systemd.wait_for("WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            systemd.wait_for("STOPPING=1")
        finally:
            process.kill()


def test_an_address_may_be_abstract_and_without_one_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")
    systemd = Systemd(f"\0{tmp_path}")
    tell_supervisor("READY=1", "STATUS=here")
    assert systemd.next() == "READY=1\nSTATUS=here"
    monkeypatch.delenv("NOTIFY_SOCKET")
    tell_supervisor("READY=1")
    systemd.close()
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    tell_supervisor("READY=1")


def hang(until_set: threading.Event) -> Callable[..., None]:
    def wait(*_: object) -> None:
        until_set.wait(WAIT_S)

    return wait


def test_a_worker_that_hangs_ends_the_feeding_until_it_goes_on(launch: Launch, systemd: Systemd) -> None:
    go_on = threading.Event()
    service = launch()
    systemd.wait_for("WATCHDOG=1")
    worker = service.worker("worker")
    worker.start()
    worker.do(hang(go_on))
    assert systemd.is_silent()
    assert "worker is stuck" in str(service.health)
    go_on.set()
    systemd.wait_for("WATCHDOG=1")


def test_a_thread_of_its_own_that_hangs_ends_the_feeding(launch: Launch, systemd: Systemd) -> None:
    turn = Turn()
    service = launch(lambda service: service.watch("camera", turn))
    systemd.wait_for("WATCHDOG=1")
    with turn:
        assert systemd.is_silent()
        assert "camera is stuck" in str(service.health)
    systemd.wait_for("WATCHDOG=1")


def test_a_loop_that_ended_ends_the_feeding(launch: Launch, systemd: Systemd) -> None:
    end = threading.Event()
    launch(lambda service: service.run("detect", hang(end)))
    systemd.wait_for("WATCHDOG=1")
    end.set()
    assert systemd.is_silent()


def test_what_a_service_survives_is_told_and_the_feeding_goes_on(launch: Launch, systemd: Systemd) -> None:
    turn = Turn()

    def declare(service: Service) -> None:
        service.watch("verdicts", turn)
        service.survives("verdicts")

    launch(declare)
    with turn:
        while "STATUS=degraded verdicts is stuck" not in systemd.wait_for("WATCHDOG=1"):
            pass


def test_a_handler_that_hangs_on_the_network_thread_ends_the_feeding(
    launch: Launch, systemd: Systemd, broker: Broker, mqtt_probe: Callable[..., Probe]
) -> None:
    go_on = threading.Event()
    service = launch(lambda each: each.on(exactly(each.topics.trigger), None, hang(go_on), thread=None), broker)
    assert service.session.wait_connected(WAIT_S)
    systemd.wait_for("WATCHDOG=1")
    mqtt_probe("trigger").publish("pcb/trigger", b"{}")
    assert systemd.is_silent()
    go_on.set()
    systemd.wait_for("WATCHDOG=1")


def test_an_outage_of_the_broker_is_no_reason_to_start_afresh(launch: Launch, systemd: Systemd) -> None:
    assert not launch().session.connected
    for _ in range(10):
        systemd.wait_for("WATCHDOG=1")


@pytest.mark.parametrize(
    ("connected", "fault", "changes"), [(True, "", 0), (True, "no camera", 4), (False, "", 20), (False, "both", 20)]
)
def test_the_lamp_is_steady_or_blinks_the_faster_the_worse(connected: bool, fault: str, changes: int) -> None:
    lit = [is_lit(tenth / 10 + 0.05, connected=connected, fault=fault) for tenth in range(41)]
    assert lit[0]
    assert sum(one != other for one, other in pairwise(lit)) == changes


@pytest.fixture
def pins_of_this_machine(pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> MockFactory:
    monkeypatch.setenv(FACTORY_VARIABLE, "mock")
    monkeypatch.setattr(Device, "pin_factory", pins)
    return pins


def test_a_node_lights_its_lamp_blinks_with_a_fault_and_leaves_it_dark(
    launch: Launch, broker: Broker, pins_of_this_machine: MockFactory
) -> None:
    service = launch(broker=broker, led_pin=24)
    pin = pins_of_this_machine.pin(24)
    assert service.session.wait_connected(WAIT_S)
    until(lambda: bool(pin.state))
    service.health["camera"] = "no camera"
    until(lambda: not pin.state)
    service.stop()
    assert not pin.state


def test_a_pin_that_another_node_has_is_a_wrong_setting(pins_of_this_machine: MockFactory) -> None:
    lamp = Lamp(24)
    with pytest.raises(ConfigError, match=r"led_pin: pin 24 cannot be used: .*PCB_LED_PIN for each"):
        Lamp(24)
    lamp.close()
