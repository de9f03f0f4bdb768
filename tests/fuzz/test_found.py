"""What the fuzzer has found, one small test each."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.mqtt_packets import CONNACK, DISCONNECT, PUBACK, V5, Connect, Wire, packet, publish, subscribe, text
from support.peer import Peer, broker_login, until
from support.ports import free_port

from broker import Broker, server
from fuzz.line import listeners_of, resident_mb
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.mqtt.session import Delivery, SessionOptions, Subscription

CONTENT_TYPE, RESPONSE_TOPIC, AUTHENTICATION_METHOD, USER = b"\x03", b"\x08", b"\x15", b"\x26"
MARK = b"\xef\xbb\xbf"
"""U+FEFF: a legal character that the broker passes on, and that paho refuses in any text."""
TRIGGER = str(Topics().trigger)


@contextmanager
def recorder_of(broker: Broker, heard: list[bytes]) -> Iterator[Peer]:
    """A durable session: what it has not acknowledged is sent to it again after every reconnect."""

    def hear(delivery: Delivery) -> None:
        heard.append(delivery.payload)

    subscription = Subscription(exactly(Topics().trigger), hear)
    peer = Peer("recorder", broker_login(broker, "recorder"), SessionOptions(durable=True), subscription)
    try:
        peer.wait_up()
        yield peer
    finally:
        peer.session.stop()


def send_as_trigger(broker: Broker, *packets: bytes) -> None:
    """A guest that is allowed to write there; the broker takes every one of the packets."""
    connect = Connect("", "trigger", broker.credentials("trigger").password).encode()
    with Wire(listeners_of(broker)[0]) as wire:
        wire.send(connect + b"".join(packets) + packet(DISCONNECT))
        taken = [answer.reason for answer in wire.finish() if answer.kind == PUBACK]
    assert taken == [0] * len(packets)


@pytest.mark.parametrize(
    "unreadable",
    [
        USER + text("name") + text(MARK),
        USER + text(MARK + b"name") + text("value"),
        CONTENT_TYPE + text(b"application/json" + MARK),
        RESPONSE_TOPIC + text(b"pcb/reply/" + MARK),
    ],
)
def test_a_message_with_unreadable_properties_is_dropped_and_not_sent_for_ever(
    broker: Broker, unreadable: bytes
) -> None:
    heard: list[bytes] = []
    with recorder_of(broker, heard) as recorder:
        lost: list[str] = []
        recorder.session.on_up(lambda: lost.append("it had lost the broker"))
        bad = [publish(TRIGGER, b"bad", 1, packet_id=number, props=unreadable) for number in (1, 2)]
        send_as_trigger(broker, *bad, publish(TRIGGER, b"good", 1, packet_id=3))
        until(lambda: b"good" in heard)
    assert heard == [b"good"]
    assert lost == []


def test_logins_that_ask_for_mqtts_own_authentication_keep_nobody_out(broker: Broker) -> None:
    """Mosquitto subtracts what they send from the memory that it has, and with a `memory_limit` refuses everybody."""
    asking = Connect("", "viewer", version=V5, properties=AUTHENTICATION_METHOD + text("x" * 60_000)).encode()
    for _ in range(20):
        with Wire(listeners_of(broker)[0]) as wire:
            wire.send(asking)
            wire.finish()
    with Wire(listeners_of(broker)[0]) as wire:
        wire.send(Connect("", "viewer", broker.credentials("viewer").password).encode() + packet(DISCONNECT))
        assert [(each.kind, each.reason) for each in wire.finish()] == [(CONNACK, 0)]


def test_a_broker_that_is_full_lives_and_goes_on_when_the_guest_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MEMORY_BYTES", 48 << 20)
    with Broker(tmp_path, free_port()) as broker:
        login = Connect("", "viewer", broker.credentials("viewer").password).encode()
        with Wire(listeners_of(broker)[0]) as guest:
            guest.send(login + subscribe([(str(Topics().trigger), 0)]))
            guest.answers(2)  # and nothing from here on
            trigger = Connect("", "trigger", broker.credentials("trigger").password).encode()
            with Wire(listeners_of(broker)[0]) as loud, pytest.raises(ConnectionError):
                loud.send(trigger + publish(TRIGGER, bytes(1 << 20)) * 60)
            assert broker.pid
            assert 32 < resident_mb(broker.pid) < 64

        def lets_in() -> bool:
            with Wire(listeners_of(broker)[0]) as healthy, suppress(OSError):
                healthy.send(login + packet(DISCONNECT))
                return [(each.kind, each.reason) for each in healthy.finish()] == [(CONNACK, 0)]
            return False

        until(lets_in)
        broker.kill()  # an orderly stop would write all that down
