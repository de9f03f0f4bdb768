"""A short run of the fuzzer, and whether it sees what it should."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from support.mqtt_packets import CONNACK, PUBLISH, SUBACK, Connect, Wire, packet, publish, split, subscribe
from support.ports import free_port
from support.probe import Probe

from broker import Broker
from fuzz.kinds import GUESTS, Case, Target, make_case
from fuzz.line import FuzzedLine, Witness, listeners_of
from fuzz.run import Fuzzer, Outcome, converse, fuzz, growth_bound

PACKETS = 2_000
NODES = ("actuator", "edge-left", "edge-right", "inference", "recorder")


@pytest.fixture
def every_way(tmp_path: Path) -> Iterator[Broker]:
    """A broker that listens in every way."""
    with Broker(tmp_path / "broker", free_port(), free_port(), tls_port=free_port()) as running:
        yield running


def target_of(broker: Broker) -> Target:
    return Target({guest: broker.credentials(guest).password or "" for guest in GUESTS}, NODES)


@pytest.mark.timeout(240)
def test_broker_and_services_live_through_hostile_packets_at_every_listener(tmp_path: Path) -> None:
    with FuzzedLine(tmp_path) as line:
        outcome = fuzz(line, PACKETS, seed=1)
    assert outcome.wrong == []
    assert set(outcome.by_listener.values()) == {PACKETS}


def test_a_number_is_always_the_same_case() -> None:
    target = Target(dict.fromkeys(GUESTS, "secret"), NODES)
    cases = [make_case(7, number, target) for number in range(PACKETS)]
    assert cases == [make_case(7, number, target) for number in range(PACKETS)]
    assert cases != [make_case(8, number, target) for number in range(PACKETS)]


def test_every_listener_carries_packets_of_any_size(every_way: Broker) -> None:
    password = every_way.credentials("operator").password
    for listener in listeners_of(every_way):
        payload = Random(1).randbytes(100_000)
        with Wire(listener) as reader, Probe(every_way, "inference") as writer:
            reader.send(Connect("", "operator", password).encode() + subscribe([("pcb/reply/operator/#", 0)]))
            assert [each.kind for each in reader.answers(2)] == [CONNACK, SUBACK]
            writer.publish("pcb/reply/operator/1", payload)
            (answer,) = reader.answers(3)[2:]
        assert (answer.kind, answer.body[-len(payload) :]) == (PUBLISH, payload)


def test_packets_are_cut_apart() -> None:
    first, second = packet(CONNACK, b"x" * 127), packet(PUBLISH, b"y" * 200_000)
    whole = first + second + second[:-1]
    found, rest = split(whole)
    assert [(each.kind, len(each.body)) for each in found] == [(CONNACK, 127), (PUBLISH, 200_000)]
    assert rest == second[:-1]


def test_whoever_is_let_in_without_a_right_is_told(every_way: Broker) -> None:
    connect = Connect("", "viewer", every_way.credentials("viewer").password).encode()
    for listener in listeners_of(every_way):
        assert converse(listener, Case((connect,), refused=True)) == "it was let in"
        assert converse(listener, Case((connect,))) is None


@pytest.mark.parametrize("qos", [1, 2])
def test_what_is_taken_without_a_right_is_told(every_way: Broker, qos: int) -> None:
    login = Connect("", "operator", every_way.credentials("operator").password).encode()
    for listener in listeners_of(every_way):
        allowed, denied = (login + publish(topic, b"x", qos) for topic in ("pcb/command/recorder", "pcb/verdict"))
        assert converse(listener, Case((allowed,), denied=True)) == "what it may not write was taken"
        assert converse(listener, Case((denied,), denied=True)) is None


def test_what_is_heard_without_a_right_is_told(every_way: Broker) -> None:
    with Witness(every_way, target_of(every_way)) as witness, Probe(every_way, "inference") as forger:
        forger.publish("pcb/reply/dashboard", b"said by somebody who may")
        forger.publish("pcb/verdict", b"forbidden viewer")
        with witness.changed:
            assert witness.changed.wait_for(lambda: bool(witness.forbidden), 10)
    assert witness.forbidden == {"pcb/verdict"}


def test_a_broker_that_dies_is_told_with_the_packets_that_were_under_way(every_way: Broker) -> None:
    numbers = iter(range(10_000))

    def lives() -> bool:
        if next(numbers) == 50:
            every_way.kill()
        return every_way.pid is not None

    fuzzer = Fuzzer(listeners_of(every_way), target_of(every_way), lives, seed=1)
    fuzzer.send(range(10_000))
    deaths = [fault for fault in fuzzer.faults if "the broker died while" in fault.what]
    assert deaths
    assert all(str(fault.number) in fault.what for fault in deaths)
    assert sum(fuzzer.sent.values()) < 200


def test_a_listener_that_hangs_is_told(every_way: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.run._PATIENCE_S", 0.2)
    with every_way.frozen():
        fuzzer = Fuzzer(listeners_of(every_way)[:1], target_of(every_way), lambda: True, seed=1)
        fuzzer.send(range(3))
    assert ["neither answers nor ends" in fault.what for fault in fuzzer.faults] == [True] * 3


def test_growth_beyond_its_bound_is_told() -> None:
    outcome = Outcome(early_mb={"broker": 10.0, "recorder": 80.0})
    outcome.late_mb = {"broker": 10.0 + growth_bound("broker"), "recorder": 80.1 + growth_bound("recorder")}
    (said,) = outcome.grown()
    assert "recorder has grown by 24.1 MB" in said
