"""The bad network of the fault suite does what it says, to real packets of a real broker."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from support.cable import Cable, Condition, Tamper, read_packet
from support.mqtt_tampers import DropAcknowledgements, ReorderPublishes, RepeatPublishes
from support.peer import Peer

from broker import Broker
from pcb_bus.contract.topics import TopicFilter
from pcb_bus.mqtt.login import Login, read_login
from pcb_bus.mqtt.session import Delivery, SessionOptions, Subscription
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.settings import BrokerSettings

TOPIC = "pcb/verdict"


@pytest.fixture
def cable(broker: Broker) -> Iterator[Cable]:
    with Cable((broker.host, broker.port), read=read_packet) as laid:
        yield laid


class Pair:
    """Inference and actuator, both behind the cable."""

    def __init__(self, cable: Cable, broker: Broker) -> None:
        self.heard: Inbox[bytes] = Inbox(1000)
        listen = Subscription(TopicFilter(TOPIC), self._hear)
        self.sender = Peer("inference", _through(cable, broker, "inference"))
        self.listener = Peer("actuator", _through(cable, broker, "actuator"), SessionOptions(durable=True), listen)
        self.sender.wait_up()
        self.listener.wait_up()

    def _hear(self, delivery: Delivery) -> None:
        self.heard.put(delivery.payload)

    def send(self, count: int) -> None:
        for number in range(count):
            assert self.sender.session.publish(TOPIC, str(number).encode())

    def hear(self, count: int) -> list[int]:
        return [int(payload) for payload in (self.heard.take(10) for _ in range(count)) if payload is not None]


def _through(cable: Cable, broker: Broker, role: str) -> Login:
    way = BrokerSettings(host=cable.host, port=cable.port, credentials=broker.credentials_folder)
    return read_login(way, role)


@pytest.fixture
def pair(cable: Cable, broker: Broker) -> Iterator[Pair]:
    both = Pair(cable, broker)
    yield both
    both.sender.session.stop(flush_s=0)
    both.listener.session.stop(flush_s=0)


def test_a_good_cable_changes_nothing(pair: Pair) -> None:
    pair.send(50)
    assert pair.hear(50) == list(range(50))


def test_repeats_come_twice(cable: Cable, pair: Pair) -> None:
    with cable.being(Condition(tamper=lambda direction: RepeatPublishes())):
        pair.send(1)
        assert pair.hear(4) == [0, 0, 0, 0]  # twice to the broker, and each of them twice from it


def test_reordered_messages_all_come(cable: Cable, pair: Pair) -> None:
    # One way only: both would put them into order again.
    with cable.being(Condition(tamper=lambda way: ReorderPublishes(Random(1)) if way == "down" else Tamper())):
        pair.send(20)
        heard = pair.hear(20)
    assert sorted(heard) == list(range(20))
    assert heard != sorted(heard)


def test_what_was_held_back_comes_when_the_cable_is_good_again(cable: Cable, pair: Pair) -> None:
    with cable.being(Condition(tamper=lambda _: ReorderPublishes(Random(1), share=1.0))):
        pair.send(1)
    assert pair.hear(1) == [0]


def test_a_publish_whose_acknowledgement_is_lost_comes_again(cable: Cable, pair: Pair) -> None:
    with cable.being(Condition(tamper=lambda _: DropAcknowledgements(Random(1), 1.0))):
        pair.send(1)
        assert pair.hear(1) == [0]
    cable.break_connections()
    assert pair.hear(1) == [0]


def test_a_frozen_cable_lets_nothing_through_until_it_thaws(cable: Cable, pair: Pair) -> None:
    with cable.frozen():
        pair.send(1)
        assert pair.heard.take(0.3) is None
    assert pair.hear(1) == [0]


def test_a_delay_counts_each_way(cable: Cable, pair: Pair) -> None:
    with cable.being(Condition(delay_s=0.1)):
        began = time.monotonic()
        pair.send(1)
        assert pair.hear(1) == [0]
        assert time.monotonic() - began >= 0.2


def test_an_unplugged_cable_takes_no_connection(cable: Cable, pair: Pair) -> None:
    with cable.unplugged(), socket.create_connection((cable.host, cable.port), timeout=5) as refused:
        assert _ended(refused)
    pair.listener.wait_up()
    pair.sender.wait_up()
    pair.send(1)
    assert pair.hear(1) == [0]


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 300_000])
def test_packets_of_every_length_are_read_whole(size: int) -> None:
    packet = b"\x32" + _length(size) + bytes(size)

    async def read() -> tuple[bytes, bytes, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(packet + b"\xc0\x00")
        reader.feed_eof()
        return await read_packet(reader), await read_packet(reader), await read_packet(reader)

    assert asyncio.run(read()) == (packet, b"\xc0\x00", b"")


def _length(number: int) -> bytes:
    digits = bytearray()
    while True:
        number, digit = divmod(number, 128)
        digits.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(digits)


def test_bytes_of_any_protocol_are_carried(tmp_path: Path) -> None:
    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        cable = opened.enter_context(Cable(("127.0.0.1", server.getsockname()[1])))
        client = opened.enter_context(socket.create_connection((cable.host, cable.port), timeout=5))
        far, _ = server.accept()
        opened.callback(far.close)
        client.sendall(b"\xff" * 200_000)
        received = b""
        while len(received) < 200_000:
            received += far.recv(65_536)
        far.sendall(b"done")
        assert client.recv(4) == b"done"
