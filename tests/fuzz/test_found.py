"""What the fuzzer has found, one small test each."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.mqtt_packets import DISCONNECT, PUBACK, Connect, Wire, packet, publish, text
from support.peer import Peer, broker_login, until

from broker import Broker
from fuzz.line import listeners_of
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.mqtt.session import Delivery, SessionOptions, Subscription

CONTENT_TYPE, RESPONSE_TOPIC, USER = b"\x03", b"\x08", b"\x26"
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
