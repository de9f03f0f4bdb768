"""`python -m actuator` as a process: what kill -9 leaves, signals, exit codes, and the command that switches off."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.probe import Probe
from support.processes import wait_until_ended

from actuator.__main__ import main
from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Actuation, Event, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns

MakeVerdict = Callable[..., Verdict]
OpenProbe = Callable[..., Probe]
WriteTaxonomy = Callable[[dict[str, Any]], Path]
REPOSITORY = Path(__file__).parents[2]
WATCHED = Path(__file__).with_name("watched_station.py")
FIRED = "fired, pin 22"


@dataclass
class Station:
    """Starts the actuator as often as asked, always on the same ledger."""

    folder: Path
    settings: dict[str, Any]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def options(self) -> list[str]:
        config = self.folder / "line.yaml"
        config.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        return ["--config", str(config)]

    def start(self, die_at: str = "never") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(WATCHED), die_at, *self.options()],
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, factory: str | None = "mock") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "actuator", *arguments, *self.options()],
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
def station(tmp_path: Path, write_taxonomy: WriteTaxonomy) -> Iterator[Station]:
    gates = {
        "scrap": {"pin": 22, "duration_ms": 60_000},
        "solder": {"pin": 27, "duration_ms": 500, "gate_delay_ms": 60_000},
    }
    settings = {
        "taxonomy": str(write_taxonomy(gates)),
        "log": {"directory": str(tmp_path / "log")},
        "actuator": {"ledger": str(tmp_path / "ledger.db"), "outbox": str(tmp_path / "outbox.db")},
    }
    running = Station(tmp_path, settings)
    yield running
    for process in running.processes:
        process.kill()
        process.communicate()


class Line:
    """The station at a broker, and who watches it."""

    def __init__(self, station: Station, broker: Broker, open_probe: OpenProbe) -> None:
        self.station = station
        station.settings["broker"] = {"port": broker.port, "credentials": str(broker.credentials_folder)}
        self.viewer = open_probe("viewer")
        self.viewer.subscribe("pcb/actuation", "pcb/status/actuator", "pcb/event/actuator")
        self.inference = open_probe("inference")
        self.eye = open_probe("trigger")

    def start(self, die_at: str = "never") -> subprocess.Popen[bytes]:
        births = len(self._births())
        process = self.station.start(die_at)
        self.viewer.wait_for_count("pcb/status/actuator", births + 1, _is_birth)
        return process

    def _births(self) -> list[Any]:
        return [each for each in self.viewer.received("pcb/status/actuator") if _is_birth(each)]

    def publish(self, verdict: Verdict) -> None:
        self.inference.publish("pcb/verdict", encode_json(verdict))

    def trigger(self) -> Trigger:
        now = now_ns() // NS_PER_MS * NS_PER_MS
        trigger = Trigger(board_id="b", triggered_at=now, source="eye", age_ms=0.0)
        self.eye.publish("pcb/trigger", encode_json(trigger))
        return trigger

    def wait_outcome(self, outcome: str) -> Actuation:
        wanted = f'"outcome":"{outcome}"'.encode()
        return decode_json(
            Actuation, self.viewer.wait_for("pcb/actuation", lambda each: wanted in each.payload).payload
        )

    def own_outcomes(self) -> set[str]:
        """But for the repeats."""
        found: set[str] = {
            decode_json(Actuation, each.payload).outcome for each in self.viewer.received("pcb/actuation")
        }
        return found - {"duplicate"}


def _is_birth(received: Any) -> bool:
    return b'"offline"' not in received.payload and not received.retain


@pytest.fixture
def line(station: Station, broker: Broker, mqtt_probe: OpenProbe) -> Line:
    return Line(station, broker, mqtt_probe)


def stop(process: subprocess.Popen[bytes]) -> dict[str, list[bool]]:
    """Ask it once; the states that its pins went through."""
    process.terminate()
    return ending_of(process)


def ending_of(process: subprocess.Popen[bytes]) -> dict[str, list[bool]]:
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    states: dict[str, list[bool]] = json.loads(output)
    return states


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_kill_9_in_the_middle_of_a_pulse(line: Line, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(good_for_ms=50_000)
    first = line.start()
    line.publish(verdict)
    assert line.wait_outcome("fired").pin == 22
    kill(first)
    second = line.start()
    line.publish(verdict)
    line.wait_outcome("duplicate")
    assert not any(map(any, stop(second).values()))
    assert line.own_outcomes() == {"fired"}
    assert line.station.log.count(FIRED) == 1


@pytest.mark.parametrize("die_at", ["pin-high", "begun"])
def test_after_kill_9_while_firing_nobody_knows_and_it_never_fires_again(
    die_at: str, line: Line, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(good_for_ms=50_000)
    first = line.start(die_at)
    line.publish(verdict)
    assert wait_until_ended([first.pid]) == []
    second = line.start()
    report = line.wait_outcome("unknown")
    assert (report.verdict_id, report.pin, report.fired_at) == (verdict.verdict_id, None, None)
    line.publish(verdict)
    line.wait_outcome("duplicate")
    assert not any(map(any, stop(second).values()))
    assert line.own_outcomes() == {"unknown"}
    assert FIRED not in line.station.log


def test_kill_9_before_a_scheduled_pulse(line: Line, make_verdict: MakeVerdict) -> None:
    first = line.start()
    trigger = line.trigger()
    verdict = make_verdict(category="solder", good_for_ms=50_000, trigger=trigger)
    line.publish(verdict)
    line.publish(make_verdict("marker", "unjudged"))
    line.wait_outcome("unjudged")
    kill(first)
    second = line.start()
    assert line.wait_outcome("unknown").verdict_id == verdict_id("pcb", "b", trigger.triggered_at)
    found = line.viewer.wait_for("pcb/event/actuator", lambda each: b"nobody knows" in each.payload)
    assert decode_json(Event, found.payload).details["verdict_ids"] == [verdict.verdict_id]
    assert not any(map(any, stop(second).values()))


@pytest.mark.parametrize("signals", [1, 2, 1_000_000])
def test_however_often_it_is_asked_to_stop_all_gates_are_off_within_5_s(
    signals: int, line: Line, make_verdict: MakeVerdict
) -> None:
    process = line.start()
    line.publish(make_verdict(good_for_ms=50_000))
    line.wait_outcome("fired")
    began = time.monotonic()
    for _ in range(signals):
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
    assert ending_of(process) == {"22": [False, True, False], "27": [False]}
    assert time.monotonic() - began < 5  # what a supervisor is promised
    line.viewer.wait_for("pcb/status/actuator", lambda each: b'"stopped"' in each.payload)


def test_off_switches_every_gate_off(station: Station) -> None:
    done = station.run("off")
    assert (done.returncode, done.stdout.strip()) == (0, "off: pins 22, 27")


@pytest.mark.parametrize("arguments", [(), ("off",)])
def test_not_a_pi_and_no_factory_is_one_line(station: Station, arguments: tuple[str, ...]) -> None:
    done = station.run(*arguments, factory=None)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "GPIOZERO_PIN_FACTORY: this is not a Raspberry Pi; set it to mock" in done.stderr


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"actuator": {"gates": {"scrap": {"pin": 22, "duration_ms": 1}}}}, "actuator.gates: unknown key"),
        ({"actuator": {"outbox": "/proc/none/outbox.db"}}, "actuator.outbox"),
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


def test_the_doctor_looks_at_pins_clock_broker_disk_and_power(
    station: Station, broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    login = (f"--broker.port={broker.port}", f"--broker.credentials={broker.credentials_folder}")
    assert main(["doctor", "--json", *station.options(), *login]) == 1
    found = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(found) == ["pins", "clock", "broker", "line's clock", "disk", "power"]
    assert "nothing moves" in found["pins"]["found"]
    assert (found["broker"]["state"], found["disk"]["state"]) == ("well", "well")
