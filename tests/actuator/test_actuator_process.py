"""`python -m actuator` as a process: what kill -9 leaves behind, exit codes, and the command that switches off."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, Event, Verdict

MakeVerdict = Callable[..., Verdict]
OpenProbe = Callable[..., Probe]
REPOSITORY = Path(__file__).parents[2]
TAXONOMY = REPOSITORY / "config" / "pcb_defects.yaml"
FIRED = "fired, pin 22"


@dataclass
class Station:
    """Starts the actuator as often as asked, always on the same ledger."""

    folder: Path
    settings: dict[str, Any]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        config = self.folder / "line.yaml"
        config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        return [sys.executable, "-m", "actuator", *arguments, "--config", str(config)]

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self.command(), cwd=self.folder, env=environment(), stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def run(self, *arguments: str, factory: str | None = "mock") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment(factory),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def log(self) -> str:
        return (self.folder / "log" / "actuator.log").read_text(encoding="utf-8")


def environment(factory: str | None = "mock") -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "GPIOZERO_PIN_FACTORY"}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **({"GPIOZERO_PIN_FACTORY": factory} if factory else {})}


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    settings = {
        "taxonomy": str(TAXONOMY),
        "log": {"directory": str(tmp_path / "log")},
        "actuator": {"ledger": str(tmp_path / "ledger.db")},
    }
    running = Station(tmp_path, settings)
    yield running
    for process in running.processes:
        process.kill()
        process.wait()


class Line:
    """The station at a broker, and who watches it."""

    def __init__(self, station: Station, broker: Broker, open_probe: OpenProbe) -> None:
        self.station = station
        station.settings["broker"] = {"port": broker.port, "credentials": str(broker.credentials_folder)}
        self.viewer = open_probe("viewer")
        self.viewer.subscribe("pcb/actuation", "pcb/status/actuator", "pcb/event/actuator")
        self.inference = open_probe("inference")

    def start(self) -> subprocess.Popen[bytes]:
        births = len(self._births())
        process = self.station.start()
        self.viewer.wait_for_count("pcb/status/actuator", births + 1, lambda each: b'"online"' in each.payload)
        return process

    def _births(self) -> list[bytes]:
        return [each.payload for each in self.viewer.received("pcb/status/actuator") if b'"online"' in each.payload]

    def publish(self, verdict: Verdict) -> None:
        self.inference.publish("pcb/verdict", encode_json(verdict))

    def wait_outcome(self, outcome: str) -> Actuation:
        wanted = f'"outcome":"{outcome}"'.encode()
        return decode_json(
            Actuation, self.viewer.wait_for("pcb/actuation", lambda each: wanted in each.payload).payload
        )


@pytest.fixture
def line(station: Station, broker: Broker, mqtt_probe: OpenProbe) -> Line:
    return Line(station, broker, mqtt_probe)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_kill_9_in_the_middle_of_a_pulse(line: Line, make_verdict: MakeVerdict) -> None:
    line.station.settings["actuator"]["gates"] = {"scrap": {"pin": 22, "duration_ms": 60_000}}
    verdict = make_verdict(good_for_ms=50_000)
    first = line.start()
    line.publish(verdict)
    assert line.wait_outcome("fired").pin == 22
    kill(first)
    second = line.start()
    line.publish(verdict)
    line.wait_outcome("duplicate")
    second.terminate()
    assert second.wait(timeout=5) == 0
    own = {each.payload for each in line.viewer.received("pcb/actuation") if b'"duplicate"' not in each.payload}
    assert len(own) == 1
    assert line.station.log.count(FIRED) == 1


def test_kill_9_before_a_scheduled_pulse(line: Line, make_verdict: MakeVerdict) -> None:
    gate = {"pin": 22, "duration_ms": 500, "gate_delay_ms": 60_000}
    line.station.settings["actuator"]["gates"] = {"scrap": gate}
    verdict = make_verdict(good_for_ms=50_000)
    first = line.start()
    line.publish(verdict)
    line.publish(make_verdict("marker", "unjudged"))
    line.wait_outcome("unjudged")
    kill(first)
    line.start()
    assert line.wait_outcome("late").verdict_id == verdict.verdict_id
    event = decode_json(Event, line.viewer.wait_for("pcb/event/actuator").payload)
    assert "may have stayed silent" in event.message
    assert event.details["verdict_ids"] == [verdict.verdict_id]
    assert FIRED not in line.station.log


def test_off_switches_every_gate_off(station: Station) -> None:
    done = station.run("off")
    assert (done.returncode, done.stdout.strip()) == (0, "off: pins 17, 22, 23, 27")


@pytest.mark.parametrize("arguments", [(), ("off",)])
def test_not_a_pi_and_no_factory_is_one_line(station: Station, arguments: tuple[str, ...]) -> None:
    done = station.run(*arguments, factory=None)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "GPIOZERO_PIN_FACTORY: this is not a Raspberry Pi; set it to mock" in done.stderr


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"actuator": {"gates": {"scrap": {"pin": 99, "duration_ms": 1}}}}, "actuator.gates.scrap.pin"),
        ({"actuator": {"ledger": "/proc/none/ledger.db"}}, "actuator.ledger"),
        ({"taxonomy": "nowhere.yaml"}, "nowhere.yaml"),
        ({"brocker": {}}, "brocker"),
    ],
)
def test_wrong_configuration_is_one_line(station: Station, settings: dict[str, Any], key: str) -> None:
    station.settings.update(settings)
    done = station.run()
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert key in done.stderr
