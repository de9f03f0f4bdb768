"""What keeps the gates safe: the pure parts, and the whole actuator at a real broker, also while its disk hangs."""

import queue
from collections.abc import Callable
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from prometheus_client import REGISTRY
from support.gate_line import SHORT_PULSES, GateLine, hung_disk
from support.peer import until
from support.systemd import Systemd

from actuator.gates import close_all, open_gates
from actuator.safety import Contact, Interlock, LineWatch
from pcb_bus.contract.messages import Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.errors import ConfigError

MakeVerdict = Callable[..., Verdict]
PIN = 5
AWAY = "inference is away"
STOP = {"mode": "stop", "after_ms": 100}
LONG_PULSE = {**SHORT_PULSES, "scrap": {"pin": 22, "duration_ms": 30_000}}


# The line


def test_what_is_away_for_long_enough_is_lost_until_it_is_back() -> None:
    watch = LineWatch(100)
    watch.see("no broker", here=False, now=0)
    assert watch.lost(99) == ""
    watch.see("no broker", here=False, now=99)
    assert watch.lost(100) == "no broker"
    watch.heard_of_inference(here=False, now=100)
    assert watch.lost(200) == f"{AWAY}, no broker"
    watch.see("no broker", here=True, now=201)
    watch.heard_of_inference(here=True, now=201)
    assert watch.lost(300) == ""


def test_a_short_absence_is_none() -> None:
    watch = LineWatch(100)
    for here, now in ((False, 0), (True, 50), (False, 60)):
        watch.see("no broker", here=here, now=now)
    assert (watch.lost(149), watch.lost(150)) == ("", "no broker")  # since the last good look


def test_an_inference_that_was_never_heard_of_is_away() -> None:
    watch = LineWatch(100)
    watch.heard_of_inference(here=False, now=5)
    assert (watch.lost(104), watch.lost(105)) == ("", AWAY)


def test_an_inference_that_stops_its_heartbeats_is_away() -> None:
    watch, now = LineWatch(100), 0
    for now in range(0, 10 * 60, 15):
        watch.heard_of_inference(here=True, now=now * NS_PER_S)
    end = (now + 45) * NS_PER_S + 100
    assert (watch.lost(end - 1), watch.lost(end)) == ("", AWAY)


def test_an_inference_that_says_goodbye_is_away_at_once() -> None:
    watch = LineWatch(100)
    watch.heard_of_inference(here=True, now=0)
    watch.heard_of_inference(here=False, now=50)
    assert (watch.lost(149), watch.lost(150)) == ("", AWAY)


# The contact


def looks(contact: Contact, *closed_at: tuple[bool, int]) -> list[bool]:
    """Whether it is open after each look."""
    found = []
    for closed, now in closed_at:
        contact.see(closed=closed, now=now)
        found.append(contact.is_open)
    return found


def test_a_contact_opens_at_once_and_closes_after_a_while_without_a_break() -> None:
    contact = Contact(50, is_open=False)
    assert looks(contact, (True, 0), (False, 1), (True, 2), (True, 51), (True, 52)) == [False, True, True, True, False]


def test_a_contact_that_bounces_stays_open() -> None:
    contact = Contact(50)
    assert looks(contact, *[(now % 40 != 0, now) for now in range(0, 400, 10)]) == [True] * 40


def test_a_change_is_told_once() -> None:
    contact = Contact(10, is_open=False)
    assert [contact.see(closed=False, now=now) for now in (0, 1, 2)] == [True, False, False]
    assert [contact.see(closed=True, now=now) for now in (3, 13, 23)] == [False, True, False]


def test_an_edge_is_heard_on_the_spot(pins: MockFactory) -> None:
    interlock = Interlock(PIN, "none", "low", 0, pins)
    heard: queue.Queue[bool] = queue.Queue()
    assert not interlock.is_open
    interlock.watch(heard.put)
    pins.pin(PIN).drive_high()
    assert heard.get_nowait()
    pins.pin(PIN).drive_low()
    assert not heard.get_nowait()
    interlock.close()


@pytest.mark.parametrize(("pull", "closed"), [("down", "high"), ("none", "high"), ("up", "low")])
def test_a_torn_wire_is_open(pull: Any, closed: Any, pins: MockFactory) -> None:
    interlock = Interlock(PIN, pull, closed, 0, pins)
    found = [interlock.is_open]
    pin = pins.pin(PIN)
    (pin.drive_high if closed == "high" else pin.drive_low)()
    interlock.look()
    assert [*found, interlock.is_open] == [True, False]
    interlock.close()


def test_a_contact_that_cannot_be_read_is_open(pins: MockFactory) -> None:
    interlock = Interlock(PIN, "none", "low", 0, pins)
    found = [interlock.is_open]
    interlock.close()
    interlock.look()
    assert [*found, interlock.is_open] == [False, True]


def test_the_pin_of_a_gate_is_a_wrong_configuration(pins: MockFactory) -> None:
    gates = open_gates([PIN], pins, active_low=False)
    with pytest.raises(ConfigError, match=r"actuator\.interlock: pin 5"):
        Interlock(PIN, "up", "low", 50 * NS_PER_MS, pins)
    close_all(gates)


# The interlock of a whole actuator


def test_an_interlock_that_opens_switches_off_and_a_person_has_to_arm_again(
    line: GateLine, make_verdict: MakeVerdict
) -> None:
    line.contact_closed, line.gates = True, LONG_PULSE
    with line.running():
        waits = make_verdict(category="solder", good_for_ms=30_000, trigger=line.trigger("b"))
        line.publish(waits)
        line.publish(make_verdict("runs"))
        assert line.outcomes(1) == [("runs", "fired")]
        line.set_contact(closed=False)
        assert not line.is_high(22)
        assert line.outcomes(2)[1] == (waits.verdict_id, "disarmed")
        line.wait_state("degraded", "the interlock is open", "disarmed")
        assert "the interlock is open" in line.ask("arm")["error"]
        assert "the interlock is open" in line.ask("test_pulse", category="scrap")["error"]
        line.set_contact(closed=True)
        line.wait_event("the interlock is closed")
        line.publish(make_verdict("not armed"))
        assert line.outcomes(3)[2] == ("not armed", "disarmed")
    with line.running():
        line.publish(make_verdict("after a restart"))
        assert line.outcomes(4)[3] == ("after a restart", "disarmed")
        assert line.ask("arm")["result"] == {"armed": True}
        line.publish(make_verdict("armed"))
        assert line.outcomes(5)[4] == ("armed", "fired")


def test_a_start_with_an_open_interlock_is_disarmed(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.contact_closed = False
    with line.running():
        line.wait_state("degraded", "the interlock is open", "disarmed")
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "disarmed")]


def test_a_stop_does_not_open_the_interlock(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.contact_closed = True
    with line.running() as service:
        interlock = service._interlock
        assert interlock is not None
        let_go = interlock._device.close

        def close() -> None:
            let_go()
            interlock.look()  # as the safety thread may just then

        interlock._device.close = close
    assert line.viewer.received("pcb/event/actuator") == []
    with line.running():
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "fired")]


# The safe state


@pytest.mark.parametrize("mode", ["stop", "finish"])
def test_inference_that_is_away(mode: str, line: GateLine, make_verdict: MakeVerdict) -> None:
    line.actuator["safe_state"] = {"mode": mode, "after_ms": 50}
    line.say_inference("online")
    with line.running():
        waits = make_verdict(category="solder", good_for_ms=30_000, trigger=line.trigger("b"))
        line.publish(waits)
        line.say_inference("offline")
        line.wait_event(AWAY)
        line.wait_state("degraded", AWAY)
        line.publish(make_verdict("meanwhile"))
        if mode == "stop":
            assert sorted(line.outcomes(2)) == sorted([("meanwhile", "disarmed"), (waits.verdict_id, "disarmed")])
        else:
            assert line.outcomes(1) == [("meanwhile", "fired")]
        line.say_inference("online")
        line.wait_event("the line is back")
        line.wait_state("online")
        count = len(line.viewer.received("pcb/actuation"))
        line.publish(make_verdict("after"))
        assert line.outcomes(count + 1)[count] == ("after", "fired")


def test_nothing_fires_on_the_word_of_an_inference_that_nobody_knows(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.actuator["safe_state"] = STOP
    with line.running():
        line.wait_event(AWAY)
        line.wait_state("degraded", AWAY)
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "disarmed")]


def test_an_inference_without_heartbeats_is_away(line: GateLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for length in ("_SILENT_NS", "_HEARSAY_NS"):
        monkeypatch.setattr(f"actuator.safety.{length}", 200 * NS_PER_MS)
    line.actuator["safe_state"] = STOP
    line.say_inference("online")
    with line.running():
        line.say_inference("degraded")
        line.wait_event(AWAY)
        line.say_inference("degraded")
        line.wait_event("the line is back")


def test_what_the_broker_remembers_of_inference_holds_for_less_than_what_it_says_itself(
    line: GateLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut the broker comes back with the `online` of one that is dead."""
    monkeypatch.setattr("actuator.safety._HEARSAY_NS", 200 * NS_PER_MS)
    line.actuator["safe_state"] = STOP
    line.say_inference("online")
    with line.running():
        line.wait_event(AWAY)
        line.say_inference("online")
        line.wait_event("the line is back")


def rejected_statuses() -> float | None:
    return REGISTRY.get_sample_value("boardline_messages_rejected_total", {"kind": "status", "reason": "not_json"})


def test_a_retained_status_that_is_cleared_says_nothing(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.actuator["safe_state"] = STOP
    line.say_inference("online")
    with line.running():
        before = rejected_statuses()
        line.inference.publish("pcb/status/inference", b"", retain=True)
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "fired")]
        assert rejected_statuses() == before


def test_divert_holds_its_gate_while_inference_is_away_and_obeys_disarm(line: GateLine) -> None:
    line.actuator["safe_state"] = {"mode": "divert", "category": "scrap", "after_ms": 50}
    line.say_inference("offline")
    with line.running():
        until(lambda: line.is_high(22))
        line.ask("disarm")
        assert not line.is_high(22)
        line.ask("arm")
        until(lambda: line.is_high(22))
        line.say_inference("online")
        until(lambda: not line.is_high(22))
    assert line.history(22) == [False, True, False, True, False]


def test_a_lost_broker_moves_to_the_safe_state_and_back(line: GateLine) -> None:
    line.actuator["safe_state"] = {"mode": "divert", "category": "scrap", "after_ms": 50}
    line.say_inference("online")
    with line.running() as service:
        line.broker.stop()
        until(lambda: line.is_high(22))
        line.broker.start()
        assert service.wait_connected(timeout=10)
        line.hear()
        line.say_inference("online")
        until(lambda: not line.is_high(22))


# A disk that hangs


def test_the_broker_goes_while_the_disk_hangs(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.actuator["safe_state"] = STOP
    line.gates = LONG_PULSE
    line.say_inference("online")
    with line.running() as service:
        line.publish(make_verdict(category="solder", good_for_ms=30_000, trigger=line.trigger("b")))
        line.publish(make_verdict("runs"))
        assert line.outcomes(1) == [("runs", "fired")]
        with hung_disk(service):
            line.broker.stop()
            until(lambda: not line.is_high(22))
            assert service._pulses._waiting == []
            assert not service._pulses.ready
    assert (line.history(22), line.ever_high) == ([False, True, False], [22])


def test_a_disk_that_hangs_is_enough(
    line: GateLine, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch, systemd: Systemd
) -> None:
    monkeypatch.setattr("pcb_bus.runtime.service._FEED_S", 0.05)
    monkeypatch.setattr("pcb_bus.runtime.service._STUCK_S", 1.0)
    monkeypatch.setattr("pcb_bus.runtime.service._HEARTBEAT_S", 0.05)
    line.actuator["safe_state"] = STOP
    line.gates = LONG_PULSE
    line.say_inference("online")
    with line.running() as service:
        line.publish(make_verdict("runs"))
        assert line.outcomes(1) == [("runs", "fired")]
        with hung_disk(service):
            until(lambda: not line.is_high(22))
            line.wait_event("the disk hangs: the gates are in their safe state")
            line.wait_state("degraded", "the disk hangs", "verdicts is stuck: a disk or device may hang")
            while "verdicts is stuck" not in systemd.wait_for("WATCHDOG=1"):
                pass  # a restart would take the gates out of their safe state
            beats = len(line.viewer.received("pcb/status/actuator"))
            line.viewer.wait_for_count("pcb/status/actuator", beats + 5)
        line.wait_event("the line is back")
        line.wait_state("online")
        line.publish(make_verdict("after"))
        assert line.outcomes(2)[1] == ("after", "fired")


def test_a_pin_that_fails_is_told_of_while_the_disk_hangs(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.gates = LONG_PULSE
    with line.running() as service:
        line.publish(make_verdict("runs"))
        assert line.outcomes(1) == [("runs", "fired")]
        with hung_disk(service):
            line.pins.pin(22).function = "input"
            line.ask("disarm")
            line.wait_event("pin 22 does not switch")
            line.wait_state("degraded", "pin 22 does not switch")
            line.pins.pin(22).function = "output"


# A disk and pins that fail


def refuse_writes(service: Any, refuse: str) -> None:
    for part in (service._ledger, service._outbox):
        part._db.execute(f"PRAGMA query_only = {refuse}")


def test_a_disk_that_takes_nothing_fires_nothing_and_recovers_by_itself(
    line: GateLine, make_verdict: MakeVerdict
) -> None:
    line.say_inference("online")
    with line.running() as service:
        refuse_writes(service, "ON")
        line.publish(make_verdict("unwritten"))
        assert line.outcomes(1) == [("unwritten", "rejected")]
        line.wait_event("ledger or outbox fails: no gate fires")
        line.wait_state("degraded", "ledger or outbox fails")
        assert line.ask("disarm")["result"] == {"armed": False}
        line.wait_state("a restart may forget whether the gates are armed")
        assert "cannot be used" in line.ask("arm")["error"]
        refuse_writes(service, "OFF")
        line.wait_event("ledger and outbox work again")
        assert line.ask("arm")["result"] == {"armed": True}
        line.wait_state("online")
        line.publish(make_verdict("written"))
        assert line.outcomes(2)[1] == ("written", "fired")
        until(lambda: len(service._outbox) == 2)
    assert line.history(22) == [False, True, False]


def test_a_gate_that_does_not_switch_is_told_of_and_the_others_work(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.gates = {**SHORT_PULSES, "component": {"pin": 17, "duration_ms": 20}}
    line.say_inference("online")
    with line.running():
        line.pins.pin(22).function = "input"
        line.publish(make_verdict("broken"))
        assert line.outcomes(1) == [("broken", "rejected")]
        line.wait_event("pin 22 does not switch")
        line.wait_state("degraded", "pin 22 does not switch")
        line.publish(make_verdict("sound", "component"))
        assert line.outcomes(2)[1] == ("sound", "fired")
        line.pins.pin(22).function = "output"
        line.publish(make_verdict("mended"))
        assert line.outcomes(3)[2] == ("mended", "fired")
        line.wait_state("online")


def test_more_pulses_than_may_wait_are_rejected(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.actuator["max_waiting"] = 2
    with line.running():
        for name in ("a", "b", "c"):
            line.publish(make_verdict(category="solder", good_for_ms=30_000, trigger=line.trigger(name)))
        (refused,) = line.reports(1)
        assert (refused.board_id, refused.outcome) == ("c", "rejected")
        line.wait_event("too many pulses wait")
    assert [each.outcome for each in line.reports(3)[1:]] == ["disarmed", "disarmed"]
