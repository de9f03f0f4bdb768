"""What a person asks of the gates: in any order, through outages, and while the disk fails or hangs."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.gate_line import GateLine, hung_disk
from support.gate_station import PATIENT, Station
from support.peer import Peer, broker_login, until

from pcb_bus.contract.messages import Command, Verdict
from pcb_bus.contract.times import NS_PER_S, now_ns, to_rfc3339
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import CommandFailed
from pcb_bus.mqtt.requests import Requester
from pcb_bus.runtime.service import Request
from pcb_bus.runtime.workers import Worker

MakeVerdict = Callable[..., Verdict]
LONG_AGO = "2026-01-01T00:00:00Z"
GAVE_UP = 0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.close()


def armed_after_a_crash(bench: Station) -> bool:
    bench.crash()
    return bench.pulses.armed


# Without threads


def test_disarm_and_arm_outlive_a_crash(bench: Station) -> None:
    assert armed_after_a_crash(bench)
    assert bench.ask("disarm") == ""
    assert not armed_after_a_crash(bench)
    assert bench.ask("arm") == ""
    assert armed_after_a_crash(bench)


@pytest.mark.parametrize("command", ["arm", "test_pulse"])
def test_what_was_asked_before_a_disarm_is_not_done_after_it(command: str, bench: Station) -> None:
    params: dict[str, Any] = {"category": "scrap"} if command == "test_pulse" else {}
    bench.pass_time(10)
    bench.ask("disarm")
    asked_before = bench.monotonic - 1
    bench.pass_time(10)
    assert "disarmed after this was asked for" in bench.ask(command, asked_at=asked_before, **params)
    assert (bench.pulses.armed, bench.gates[22].is_on) == (False, False)
    assert not armed_after_a_crash(bench)


def test_an_arm_whose_asker_gave_up_while_the_disk_took_its_time_is_not_done(bench: Station) -> None:
    bench.ask("disarm")
    assert "expired" in bench.ask("arm", patience=GAVE_UP)
    assert not bench.pulses.armed
    assert not armed_after_a_crash(bench)


def test_a_crash_in_the_middle_of_an_arm_leaves_the_gates_disarmed(
    bench: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.ask("disarm")

    def crash(asked_at: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.pulses, "arm", crash)
    with pytest.raises(KeyboardInterrupt):
        bench.ask("arm")
    assert not armed_after_a_crash(bench)


def test_a_disarm_while_an_arm_waits_for_the_disk_outlives_a_restart(
    bench: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two arms in a row: the gates are armed by the first, which is not written down yet, as the second one waits."""
    bench.ask("disarm")
    bench.pulses.arm(bench.monotonic)
    written = bench.ledger.probe

    def hang() -> None:
        written()
        bench.pass_time(1)
        bench.commands._disarm(Request(Command(command="disarm"), bench.monotonic, PATIENT))

    monkeypatch.setattr(bench.ledger, "probe", hang)
    assert "disarmed after" in bench.ask("arm")
    assert not armed_after_a_crash(bench)


def test_an_arm_that_cannot_be_written_down_is_not_done(bench: Station) -> None:
    bench.ask("disarm")
    bench.refuse_writes("ledger")
    assert "cannot be used" in bench.ask("arm")
    assert not bench.pulses.armed
    bench.refuse_writes("ledger", refuse=False)
    bench.look()
    assert not bench.pulses.armed
    assert not armed_after_a_crash(bench)


def test_a_disarm_that_cannot_be_written_down_is_done_and_written_down_later(bench: Station) -> None:
    bench.refuse_writes("ledger")
    assert bench.ask("disarm") == ""
    assert not bench.pulses.armed
    bench.refuse_writes("ledger", refuse=False)
    bench.look()
    assert not armed_after_a_crash(bench)


def test_a_test_pulse_is_as_long_as_asked_for_and_never_longer_than_the_gates_own(bench: Station) -> None:
    bench.ask("disarm")
    for asked_ms, high_ms in ((40, 40), (40.0, 40), (None, 500), (60_000, 500)):
        assert bench.ask("test_pulse", category="scrap", duration_ms=asked_ms) == ""
        bench.pass_time(high_ms - 1)
        bench.step()
        assert bench.gates[22].is_on
        bench.pass_time(1)
        bench.step()
        assert not bench.gates[22].is_on


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({}, "params.category: Field required"),
        ({"category": "golden"}, "no gate for the category golden"),
        ({"category": 7}, "params.category"),
        ({"category": "scrap", "duration_ms": 0}, "params.duration_ms"),
        ({"category": "scrap", "duration_ms": 1e18}, "params.duration_ms"),
        ({"category": "scrap", "duration_ms": "40"}, "params.duration_ms"),
    ],
)
def test_a_test_pulse_that_makes_no_sense_is_refused_in_words(
    params: dict[str, Any], complaint: str, bench: Station
) -> None:
    bench.ask("disarm")
    assert complaint in bench.ask("test_pulse", **params)
    assert not any(gate.is_on for gate in bench.gates.values())


def test_a_test_pulse_of_a_pin_that_fails_leaves_it_off(bench: Station) -> None:
    bench.ask("disarm")
    bench.gates[22].broken = True
    assert "pin 22 does not switch" in bench.ask("test_pulse", category="scrap")
    bench.gates[22].broken = False
    bench.pass_time(200)
    bench.step()
    assert not bench.gates[22].is_on
    assert bench.ask("test_pulse", category="scrap") == ""


# The whole actuator


def test_a_test_pulse_only_while_disarmed_and_one_at_a_time(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running():
        assert "armed" in line.ask("test_pulse", category="scrap")["error"]
        line.ask("disarm")
        assert line.ask("test_pulse", category="scrap", duration_ms=40)["result"] == {"pin": 22, "duration_ms": 40}
        until(lambda: line.history(22) == [False, True, False])
        assert line.pins.pin(22).states[2].timestamp >= 0.0399
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "disarmed")]
    line.wait_event('"test pulse"')


def test_arming_ends_a_test_pulse(line: GateLine) -> None:
    line.gates = {"scrap": {"pin": 22, "duration_ms": 30_000}}
    with line.running():
        line.ask("disarm")
        assert line.ask("test_pulse", category="scrap")["error"] is None
        assert "another test" in line.ask("test_pulse", category="scrap")["error"]
        assert line.is_high(22)
        assert line.ask("arm")["result"] == {"armed": True}
        assert not line.is_high(22)


def test_disarmed_gates_stay_off_even_after_a_restart(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running():
        assert line.ask("disarm")["result"] == {"armed": False}
        line.wait_state("degraded", "disarmed")
        line.publish(make_verdict("first"))
        assert line.outcomes(1) == [("first", "disarmed")]
    with line.running():
        line.publish(make_verdict("second"))
        assert line.outcomes(2)[1] == ("second", "disarmed")
        assert line.ask("arm")["result"] == {"armed": True}
        line.publish(make_verdict("third"))
        assert line.outcomes(3)[2] == ("third", "fired")
    assert line.history(22) == [False, True, False]


@pytest.mark.parametrize("how", [{"retain": True}, {"expires_at": LONG_AGO}, {"retain": True, "expires_at": LONG_AGO}])
def test_disarm_is_obeyed_always_and_nothing_else_is(how: dict[str, Any], line: GateLine) -> None:
    line.gates = {"scrap": {"pin": 22, "duration_ms": 30_000}}
    with line.running():
        assert line.answer(line.send("disarm", **how))["result"] == {"armed": False}
        for command in ("arm", "test_pulse"):
            error = line.answer(line.send(command, params={"category": "scrap"}, **how))["error"]
            assert "is not carried out" in error
    assert line.ever_high == []


@pytest.fixture
def _short_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Worker.lane
    monkeypatch.setattr(Worker, "lane", lambda self, capacity, *rest: lane(self, min(capacity, 20), *rest))


@pytest.mark.usefixtures("_short_queues")
def test_disarm_overtakes_full_queues_while_the_disk_hangs(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.gates = {"scrap": {"pin": 22, "duration_ms": 30_000}}
    with line.running() as service:
        line.publish(make_verdict("runs"))
        assert line.outcomes(1) == [("runs", "fired")]
        with hung_disk(service):
            asked = [line.send("arm") for _ in range(30)]
            for number in range(30):
                line.publish(make_verdict(f"v{number}", good_for_ms=60_000))
            assert "too busy" in line.answer(asked[0])["error"]
            assert line.answer(line.send("disarm"))["result"] == {"armed": False}
            assert line.history(22) == [False, True, False]
            assert not service._pulses.armed
        for correlation in asked[10:]:
            assert "disarmed after this was asked for" in line.answer(correlation)["error"]
        assert line.outcomes(21)[1:] == [(f"v{number}", "disarmed") for number in range(10, 30)]
        assert not service._pulses.armed
    assert line.history(22) == [False, True, False]


def _wait_for(event: threading.Event) -> None:
    event.wait(10)


def test_a_test_pulse_that_waited_is_refused_after_a_disarm(line: GateLine) -> None:
    goes_on = threading.Event()
    with line.running() as service:
        line.ask("disarm")
        service._service.worker("commands").do(partial(_wait_for, goes_on))
        asked = line.send("test_pulse", params={"category": "scrap"})
        line.ask("disarm")
        goes_on.set()
        assert "disarmed after this was asked for" in line.answer(asked)["error"]
    assert line.ever_high == []


def test_an_arm_that_took_too_long_is_answered_so_and_never_done(line: GateLine) -> None:
    with line.running() as service:
        line.ask("disarm")
        with hung_disk(service):
            asked, at = line.send("arm", MessageExpiryInterval=1), time.monotonic()
            until(lambda: time.monotonic() > at + 1.1)
        assert "expired" in line.answer(asked)["error"]
        assert not service._pulses.armed
    with line.running() as service:
        assert not service._pulses.armed


# Outages


@pytest.fixture
def requester(line: GateLine) -> Iterator[Requester]:
    peer = Peer("dashboard", broker_login(line.broker, "dashboard"))
    made = Requester(peer.session, Topics(), "dashboard")
    peer.wait_up()
    yield made
    peer.session.stop(0)


def test_a_command_that_failed_in_an_outage_is_never_carried_out(line: GateLine, requester: Requester) -> None:
    with line.running() as service:
        requester.ask("actuator", "disarm")
        line.broker.stop()
        until(lambda: not requester._session.connected)
        for command, params in (("test_pulse", {"category": "scrap"}), ("arm", {})):
            with pytest.raises(CommandFailed, match="no connection to the broker"):
                requester.ask("actuator", command, timeout=60, **params)
        line.broker.start()
        assert service.wait_connected(10)
        assert requester._session.wait_connected(10)
        assert requester.ask("actuator", "ping") == {}
        assert not service._pulses.armed
    assert line.ever_high == []


def test_a_command_that_came_while_the_actuator_was_away_is_never_carried_out(
    line: GateLine, requester: Requester
) -> None:
    with line.running():
        line.ask("disarm")
    for retain in (False, True):
        line.send("test_pulse", params={"category": "scrap"}, retain=retain)
        line.send("arm", retain=retain)
    with pytest.raises(CommandFailed, match="did not answer"):
        requester.ask("actuator", "arm", timeout=0.1)
    with line.running() as service:
        assert line.ask("ping")["error"] is None
        assert not service._pulses.armed
    assert line.ever_high == []


def test_a_foreign_clients_command_says_how_long_it_is_good_for(line: GateLine) -> None:
    with line.running():
        line.ask("disarm")
        soon, gone = (to_rfc3339(now_ns() + seconds * NS_PER_S) for seconds in (60, -1))
        for expires_at, fails in ((soon, False), (gone, True)):
            params = {"category": "scrap", "duration_ms": 1}
            answer = line.answer(line.send("test_pulse", params=params, expires_at=expires_at))
            assert (answer["error"] is not None) is fails
    assert line.history(22) == [False, True, False]
