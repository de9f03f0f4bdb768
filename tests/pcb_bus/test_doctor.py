"""What a node can be asked before a line runs, on a real broker and made-up hardware."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.peer import Peer, broker_login, broker_settings

from broker import Broker
from pcb_bus.contract.codec import encode_msgpack
from pcb_bus.contract.messages import ClockReply
from pcb_bus.contract.times import NS_PER_MS, now_ns
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.mqtt.session import Delivery, SessionOptions, Subscription
from pcb_bus.runtime import doctor
from pcb_bus.runtime.doctor import (
    Finding,
    check_broker,
    check_clock,
    check_disk,
    check_pins,
    check_power,
    examine,
)
from pcb_bus.runtime.pins import FACTORY_VARIABLE
from pcb_bus.runtime.settings import BrokerSettings, LineSettings

A_WRONG_PASSWORD = "not this one"


def test_a_broker_that_takes_the_login_is_well_and_the_node_itself_is_left_alone(broker: Broker) -> None:
    ups: list[bool] = []
    node = Peer("edge-left", broker_login(broker, "edge-left"), SessionOptions())
    node.wait_up()
    node.session.on_up(lambda: ups.append(True))
    found, clock = check_broker(LineSettings(broker=broker_settings(broker)), "edge-left")
    assert (found.state, found.found) == ("well", f"127.0.0.1:{broker.port}, without TLS, as edge-left")
    assert clock == Finding("line's clock", "skipped", "inference, whose clock it is, does not answer")
    assert node.publish("pcb/event/edge-left", b"still here")
    assert not ups
    node.session.stop(0)


def test_a_login_that_is_refused_is_to_be_copied_again(broker: Broker) -> None:
    login = broker_settings(broker).model_copy(update={"username": "edge-left", "password": A_WRONG_PASSWORD})
    [found] = check_broker(LineSettings(broker=login), "edge-left")
    assert found.state == "wrong"
    assert "refuses edge-left" in found.found
    assert "copy edge-left.yaml" in found.to_do


def test_no_broker_at_all_is_another_thing(free_port: int, tmp_path: Path) -> None:
    login = BrokerSettings(port=free_port, credentials=tmp_path)
    [found] = check_broker(LineSettings(broker=login), "edge-left")
    assert (found.state, found.found) == ("wrong", f"no broker at 127.0.0.1:{free_port}")
    assert "is the broker running" in found.to_do


@pytest.mark.parametrize(
    ("ahead_ms", "state", "sign"), [(0, "well", ("+", "-")), (-30_000, "wrong", "-"), (30_000, "wrong", "+")]
)
def test_a_clock_that_is_not_the_line_s_is_told(
    broker: Broker, ahead_ms: int, state: str, sign: str | tuple[str, ...]
) -> None:
    def answer(asked: Delivery) -> None:
        at = now_ns() + ahead_ms * NS_PER_MS
        reply = encode_msgpack(ClockReply(heard_at=at, said_at=at))
        inference.session.publish(str(asked.response_topic), reply, qos=0)

    login = broker_login(broker, "inference")
    inference = Peer("inference", login, SessionOptions(), Subscription(exactly(Topics("pcb").clock), answer, qos=0))
    inference.wait_up()
    _, clock = check_broker(LineSettings(broker=broker_settings(broker)), "edge-left")
    inference.session.stop(0)
    assert (clock.what, clock.state) == ("line's clock", state)
    assert clock.found.startswith(sign)


@pytest.mark.parametrize(
    ("state", "now", "told"),
    [
        (0, 1.8e9, ("well", "kept in step")),
        (5, 1.8e9, ("wrong", "nothing keeps it in step")),
        (0, 60.0, ("wrong", "it shows 1970-01-01")),
    ],
)
def test_a_clock_that_nothing_keeps_in_step_is_wrong(state: int, now: float, told: tuple[str, str]) -> None:
    found = check_clock(state, now)
    assert (found.state, found.found) == told


def test_this_machine_s_clock_can_be_asked() -> None:
    assert check_clock().state in {"well", "wrong"}


@pytest.mark.parametrize(
    ("told", "state", "found"),
    [
        ("throttled=0x0", "well", "no undervoltage since its start"),
        ("throttled=0x1", "wrong", "undervoltage now"),
        ("throttled=0x50000", "wrong", "undervoltage since its start"),
        ("throttled=0x20002", "wrong", "too hot, or throttled now"),
        ("throttled=0x80000", "wrong", "too hot, or throttled since its start"),
    ],
)
def test_a_pi_tells_of_its_supply(told: str, state: str, found: str) -> None:
    finding = check_power(told)
    assert (finding.state, finding.found) == (state, found)


@pytest.mark.parametrize(("alarm", "state"), [("1", "wrong"), ("0", "well")])
def test_without_vcgencmd_the_kernel_is_asked(tmp_path: Path, alarm: str, state: str) -> None:
    for name, content in {"hwmon0/name": "cpu_thermal\n", "hwmon1/name": "rpi_volt\n"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
    (tmp_path / "hwmon1/in0_lcrit_alarm").write_text(f"{alarm}\n")
    assert check_power("", tmp_path).state == state


def test_what_a_machine_does_not_say_is_skipped_with_a_word(tmp_path: Path) -> None:
    found = check_power("", tmp_path)
    assert (found.state, found.found[:26]) == ("skipped", "this machine does not say:")


def test_pins_are_looked_at_only_where_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FACTORY_VARIABLE, raising=False)
    assert check_pins("", tmp_path).state == "skipped"
    assert check_pins("the gates", tmp_path).state == "wrong"
    (tmp_path / "gpiochip0").touch()
    assert check_pins("the gates", tmp_path) == Finding("pins", "well", "for the gates")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "usermod -aG gpio" in check_pins("the gates", tmp_path).to_do
    monkeypatch.setenv(FACTORY_VARIABLE, "mock")
    assert "nothing moves" in check_pins("the gates", tmp_path).found


def test_a_disk_needs_room_also_where_the_folder_is_still_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_LEAST_FREE", 1)
    assert check_disk(tmp_path / "not" / "yet", None).state == "well"
    monkeypatch.setattr(doctor, "_LEAST_FREE", 2**60)
    found = check_disk(tmp_path / "not" / "yet")
    assert (found.state, str(tmp_path) in found.to_do) == ("wrong", True)


WELL = Finding("disk", "well", "[red] is no markup")
WRONG = replace(WELL, what="broker", state="wrong", to_do="rtsp://user:secret@camera")


def checks(*findings: Finding) -> Callable[[LineSettings], Iterator[Finding]]:
    return lambda settings: iter(findings)


@pytest.mark.parametrize(("findings", "code"), [((WELL,), 0), ((WELL, WRONG), 1)])
def test_the_exit_code_says_whether_something_is_wrong(
    findings: tuple[Finding, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert examine(LineSettings, checks(*findings), [], program="edge") == code
    printed = capsys.readouterr().out
    assert "[red] is no markup" in printed
    assert "secret" not in printed


def test_programs_may_have_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert examine(LineSettings, checks(WELL), ["--json"], program="edge") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"what": "disk", "state": "well", "found": "[red] is no markup", "to_do": ""}
    ]


def test_a_wrong_setting_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert examine(LineSettings, checks(WELL), ["--broker.port", "0"], program="edge") == 2
    assert capsys.readouterr().err.startswith("edge doctor: broker.port")
