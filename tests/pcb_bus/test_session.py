"""The session against a real broker that is restarted, killed, frozen, or says no."""

import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.reasoncodes import ReasonCode
from prometheus_client import REGISTRY
from support.peer import WAIT_S, Peer, broker_login, broker_settings, until
from support.probe import Probe

from broker import Broker
from broker.server import find_mosquitto
from pcb_bus.contract.topics import TopicFilter, Topics, exactly
from pcb_bus.mqtt.login import Login
from pcb_bus.mqtt.session import MAX_PACKET_BYTES, Delivery, MqttSession, Subscription
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.settings import BrokerSettings

TOPICS = Topics()
OpenPeer = Callable[..., Peer]
OpenProbe = Callable[..., Probe]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"boardline_{name}_total", labels) or 0.0


@pytest.fixture
def inbox() -> Inbox[Delivery]:
    return Inbox(2000)


@pytest.fixture
def lost_sessions(broker: Broker) -> Callable[[], None]:
    """A broker that comes back without its stored sessions."""

    def lose() -> None:
        broker.kill()
        shutil.rmtree(broker.directory / "data")
        broker.start()

    return lose


def taken(inbox: Inbox[Delivery]) -> Delivery:
    delivery = inbox.take(WAIT_S)
    assert delivery is not None, "nothing came"
    return delivery


def wake_up_calls(client: Client) -> list[socket.socket]:
    """The pair of sockets that paho does not close when its thread dies."""
    return [each for each in (client._sockpairR, client._sockpairW) if each is not None]


def test_small_packets_are_not_held_back(peer: OpenPeer) -> None:
    connection = peer("recorder").session._client.socket()
    assert isinstance(connection, socket.socket)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_message_arrives_whole(peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery]) -> None:
    peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put))
    before = time.time_ns()
    mqtt_probe("trigger").publish("pcb/trigger", b"\x00\xff", ResponseTopic="pcb/reply/x", CorrelationData=b"c")
    delivery = taken(inbox)
    assert (delivery.topic, delivery.payload, delivery.retain) == ("pcb/trigger", b"\x00\xff", False)
    assert (delivery.response_topic, delivery.correlation) == ("pcb/reply/x", b"c")
    assert before <= delivery.received_at <= time.time_ns()


def test_a_session_is_up_once_the_broker_has_answered_its_subscriptions(caplog: pytest.LogCaptureFixture) -> None:
    ups: Inbox[bool] = Inbox(9)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        session = MqttSession("pcb-recorder", Login(BrokerSettings(port=slow.getsockname()[1])))
        for topic in (TOPICS.trigger, TOPICS.verdict):
            session.subscribe(Subscription(exactly(topic), print))
        session.on_up(lambda: ups.put(True))
        session.start()
        broker, _ = slow.accept()
        with broker:
            broker.recv(4096)
            broker.sendall(b"\x20\x03\x00\x00\x00")  # CONNACK: welcome
            subscribe = broker.recv(4096)
            assert not session.connected
            assert len(ups) == 0
            broker.sendall(b"\x90\x05" + subscribe[2:4] + b"\x00\x01\x87")  # SUBACK: one granted, one not
            assert ups.take(WAIT_S)
            assert session.connected
            session.stop()
    assert "the broker refuses to let us hear pcb/verdict: Not authorized" in caplog.text


def test_each_session_of_a_process_shows_whether_it_is_connected(peer: OpenPeer) -> None:
    def shown(session: str) -> float | None:
        return REGISTRY.get_sample_value("boardline_broker_connected", {"session": session})

    stopped, _ = peer("recorder"), peer("inference")
    stopped.session.stop()
    until(lambda: shown("pcb-recorder") == 0)
    assert shown("pcb-inference") == 1


def test_subscriptions_hold_after_the_broker_lost_them(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery], lost_sessions: Callable[[], None]
) -> None:
    recorder = peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put), durable=True)
    lost_sessions()
    recorder.wait_up()
    mqtt_probe("trigger").publish("pcb/trigger", b"after")
    assert taken(inbox).payload == b"after"


def test_a_subscription_declared_while_connected_holds_too(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery], broker: Broker
) -> None:
    recorder = peer("recorder")
    recorder.session.subscribe(Subscription(exactly(TOPICS.trigger), inbox.put))
    assert recorder.publish("pcb/event/recorder", b"the broker has read the subscription")
    mqtt_probe("trigger").publish("pcb/trigger", b"before")
    assert taken(inbox).payload == b"before"
    broker.restart()
    recorder.wait_up()
    mqtt_probe("trigger").publish("pcb/trigger", b"after")
    assert taken(inbox).payload == b"after"


def test_what_was_not_acknowledged_comes_again_and_nothing_else(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery], broker: Broker
) -> None:
    recorder = peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put, manual_ack=True), durable=True)
    sender = mqtt_probe("trigger")
    for payload in (b"first", b"second"):
        sender.publish("pcb/trigger", payload)
    taken(inbox).ack()
    assert taken(inbox).payload == b"second"
    assert recorder.publish("pcb/event/recorder", b"the broker has read the acknowledgement")
    broker.restart()
    recorder.wait_up()
    assert taken(inbox).payload == b"second"
    assert len(inbox) == 0


def test_a_connection_dropped_on_purpose_brings_again_what_was_not_acknowledged(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery]
) -> None:
    recorder = peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put, manual_ack=True), durable=True)
    mqtt_probe("trigger").publish("pcb/trigger", b"board")
    assert taken(inbox).payload == b"board"
    recorder.session.reconnect()
    recorder.wait_up()
    assert taken(inbox).payload == b"board"


def test_a_late_acknowledgement_does_not_acknowledge_another_message(
    peer: OpenPeer,
    mqtt_probe: OpenProbe,
    inbox: Inbox[Delivery],
    broker: Broker,
    lost_sessions: Callable[[], None],
) -> None:
    recorder = peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put, manual_ack=True), durable=True)
    mqtt_probe("trigger").publish("pcb/trigger", b"old")
    old = taken(inbox)
    lost_sessions()
    recorder.wait_up()
    mqtt_probe("trigger").publish("pcb/trigger", b"new")  # the broker counts anew: it has the packet id of the old one
    assert taken(inbox).payload == b"new"
    old.ack()
    assert recorder.publish("pcb/event/recorder", b"the broker has read an acknowledgement, if one was sent")
    broker.restart()
    recorder.wait_up()
    assert taken(inbox).payload == b"new"


def test_what_is_said_in_an_outage_is_delivered_once_after_it(
    peer: OpenPeer, mqtt_probe: OpenProbe, broker: Broker
) -> None:
    viewer = mqtt_probe("viewer", client_id="watcher", session_expiry_s=60, clean_start=False)
    viewer.client.reconnect_delay_set(1, 1)
    viewer.subscribe("pcb/verdict")
    inference = peer("inference")
    broker.stop()
    until(lambda: not inference.session.connected)
    answers: Inbox[bool] = Inbox(1000)
    payloads = [str(number).encode() for number in range(300)]  # more than the broker lets fly at once
    assert all(inference.session.publish("pcb/verdict", each, on_done=answers.put) for each in payloads)
    assert len(answers) == 0
    broker.start()
    inference.wait_up()
    assert [answers.take(WAIT_S) for _ in payloads] == [True] * 300
    assert inference.publish("pcb/verdict", b"last")
    viewer.wait_for("pcb/verdict", lambda each: each.payload == b"last")
    assert sorted(each.payload for each in viewer.received("pcb/verdict")) == sorted([*payloads, b"last"])


def test_the_outgoing_queue_is_bounded(free_port: int) -> None:
    session = MqttSession("pcb-inference", Login(BrokerSettings(port=free_port)))
    before = counted("messages_dropped", kind="verdict", reason="queue_full")
    assert all(session.publish(TOPICS.verdict, b"{}") for _ in range(1000))
    assert not session.publish(TOPICS.verdict, b"{}")
    assert counted("messages_dropped", kind="verdict", reason="queue_full") == before + 1


def test_frames_are_refused_while_the_broker_is_away(peer: OpenPeer, broker: Broker) -> None:
    edge = peer("edge-left")
    broker.stop()
    until(lambda: not edge.session.connected)
    before = counted("messages_dropped", kind="frame", reason="not_connected")
    assert not edge.session.publish(TOPICS.frame("left"), b"jpeg", qos=0)
    assert counted("messages_dropped", kind="frame", reason="not_connected") == before + 1


def test_that_nothing_is_sent_is_told_once_a_connection_was_there(
    peer: OpenPeer, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    first = MqttSession("pcb-edge-left", broker_login(broker, "edge-left"))
    assert not first.publish(TOPICS.frame("left"), b"jpeg", qos=0)
    assert "not sent" not in caplog.text
    edge = peer("edge-left")
    broker.stop()
    until(lambda: not edge.session.connected)
    assert not edge.session.publish(TOPICS.frame("left"), b"jpeg", qos=0)
    assert "not sent: frame (not_connected)" in caplog.text


def test_frames_are_refused_while_the_network_is_slow(peer: OpenPeer, broker: Broker) -> None:
    edge = peer("edge-left")
    frame = bytes(1_000_000)
    done: Inbox[bool] = Inbox(100)
    with broker.frozen():
        sent = [edge.session.publish(TOPICS.frame("left"), frame, qos=0, on_done=done.put) for _ in range(64)]
        assert not all(sent)
        assert edge.session.connected
    assert [done.take(WAIT_S) for _ in range(sent.count(True))] == [True] * sent.count(True)
    assert edge.publish("pcb/frame/left", frame, qos=0)


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="an option of Linux")
def test_what_a_slow_network_does_not_take_waits_here_not_in_the_kernel(peer: OpenPeer) -> None:
    """A reader that stands still: without the option, the kernel takes some megabytes of frames that will be old."""
    connection = peer("edge-left").session._client.socket()
    assert connection is not None
    most = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(server.getsockname()) as slow:
            slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, most)
            slow.settimeout(0.05)
            taken = 0
            with suppress(TimeoutError):
                while taken < 10_000_000:
                    taken += slow.send(bytes(64 * 1024))
    assert taken < 400_000


def test_a_publish_that_the_broker_denies_is_noticed(peer: OpenPeer, caplog: pytest.LogCaptureFixture) -> None:
    edge = peer("edge-left")
    before = counted("publish_failed", kind="verdict", reason="Not authorized")
    assert edge.publish("pcb/verdict", b"{}") is False
    assert counted("publish_failed", kind="verdict", reason="Not authorized") == before + 1
    assert "the broker refuses our verdict message: Not authorized" in caplog.text


def test_a_refused_login_is_one_line_and_ever_rarer_attempts(
    broker: Broker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[float] = []
    refused = MqttSession._refused

    def note(session: MqttSession, reason: ReasonCode) -> None:
        attempts.append(time.monotonic())
        refused(session, reason)

    monkeypatch.setattr(MqttSession, "_refused", note)
    session = MqttSession("pcb-recorder", Login(broker_settings(broker), "recorder", "a guess"))
    before = counted("broker_connect_failed", reason="Not authorized")
    session.start()
    until(lambda: len(attempts) >= 5)
    session.stop()
    assert counted("broker_connect_failed", reason="Not authorized") - before >= 5
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.levelname for record in lines] == ["ERROR"]
    assert "refuses recorder: Not authorized; still trying" in lines[0].message
    assert "a guess" not in caplog.text
    assert attempts[4] - attempts[3] > 2 * (attempts[1] - attempts[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_broker_that_comes_late_is_found(host: str, free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    session = MqttSession("pcb-recorder", Login(BrokerSettings(host=host, port=free_port)))
    before = counted("broker_connect_failed", reason="unreachable")
    session.start()
    until(lambda: counted("broker_connect_failed", reason="unreachable") >= before + 2)
    session.stop()
    assert [record.message for record in caplog.records] == [f"no broker at {host}:{free_port}; still trying"]


def test_a_fault_in_a_handler_is_counted_and_the_session_lives_on(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery], caplog: pytest.LogCaptureFixture
) -> None:
    def handler(delivery: Delivery) -> None:
        if delivery.payload == b"bad":
            raise LookupError("a fault of ours")
        inbox.put(delivery)

    peer("recorder", Subscription(exactly(TOPICS.trigger), handler))
    before = counted("handler_errors", kind="pcb/trigger")
    sender = mqtt_probe("trigger")
    for payload in (b"bad", b"good"):
        sender.publish("pcb/trigger", payload)
    assert taken(inbox).payload == b"good"
    assert counted("handler_errors", kind="pcb/trigger") == before + 1
    assert "a fault of ours" in caplog.text


def test_a_fault_in_on_done_is_counted_and_the_session_lives_on(peer: OpenPeer) -> None:
    def on_done(accepted: bool) -> None:
        raise LookupError(f"a fault of ours {accepted}")

    recorder = peer("recorder")
    before = counted("handler_errors", kind="recorded")
    assert recorder.session.publish(TOPICS.recorded, b"{}", on_done=on_done)
    assert recorder.publish("pcb/recorded", b"{}")
    assert counted("handler_errors", kind="recorded") == before + 1


def test_a_topic_that_is_not_utf8_is_rejected() -> None:
    # Mosquitto lets none through; another broker may.
    session = MqttSession("pcb-recorder", Login(BrokerSettings()))
    before = counted("messages_rejected", kind="unknown", reason="topic_not_utf8")
    session._on_message(session._client, None, MQTTMessage(7, b"pcb/\xff"))
    assert counted("messages_rejected", kind="unknown", reason="topic_not_utf8") == before + 1


def test_a_payload_over_the_limit_is_refused_before_it_is_sent(peer: OpenPeer) -> None:
    edge = peer("edge-left")
    before = counted("messages_dropped", kind="frame", reason="too_large")
    assert edge.publish("pcb/frame/left", bytes(MAX_PACKET_BYTES), qos=0) is None
    assert counted("messages_dropped", kind="frame", reason="too_large") == before + 1
    assert edge.publish("pcb/frame/left", bytes(MAX_PACKET_BYTES - 1024))


@pytest.fixture
def stingy_broker(tmp_path: Path, free_port: int) -> Iterator[Login]:
    """A broker of somebody else that takes only small packets."""
    configuration = tmp_path / "stingy.conf"
    configuration.write_text(f"listener {free_port} 127.0.0.1\nallow_anonymous true\nmax_packet_size 20000\n")
    process = subprocess.Popen([find_mosquitto(), "-c", configuration], stderr=subprocess.DEVNULL)
    yield Login(BrokerSettings(host="127.0.0.1", port=free_port))
    process.terminate()
    process.wait(WAIT_S)


def test_the_brokers_own_limit_is_kept(stingy_broker: Login) -> None:
    someone = Peer("recorder", stingy_broker)
    someone.wait_up()
    assert someone.publish("pcb/event/recorder", bytes(20_000)) is None
    assert someone.publish("pcb/event/recorder", bytes(18_000))
    someone.session.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_network_thread_is_started_again(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery], caplog: pytest.LogCaptureFixture
) -> None:
    recorder = peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put))
    client = recorder.session._client
    left_open_by_paho = wake_up_calls(client)
    deaths: list[bytes] = []

    def die(_client: object, _userdata: object, message: MQTTMessage) -> None:
        deaths.append(bytes(message.payload))
        raise ArithmeticError("the last words of a network thread")

    client.on_message = die
    mqtt_probe("trigger").publish("pcb/trigger", b"poison", qos=0)
    recorder.wait_up()
    client.on_message = recorder.session._on_message
    mqtt_probe("trigger").publish("pcb/trigger", b"food")
    assert taken(inbox).payload == b"food"
    assert deaths == [b"poison"]
    assert "the network thread died; starting it again" in caplog.text
    for each in left_open_by_paho:
        each.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_speaks_while_the_network_thread_and_the_connection_are_dead_is_not_held_up(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery], broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcb_bus.mqtt.session._WATCHDOG_S", 60)
    recorder = peer("recorder", Subscription(exactly(TOPICS.trigger), inbox.put, manual_ack=True))
    client = recorder.session._client
    mqtt_probe("trigger").publish("pcb/trigger", b"board")
    delivery = taken(inbox)

    def die(*_: object) -> None:
        raise ArithmeticError("the last words of a network thread")

    client.on_message = die
    mqtt_probe("trigger").publish("pcb/trigger", b"poison")
    until(lambda: client._thread is None)
    broker.kill()
    speak = partial(recorder.session.publish, TOPICS.event("recorder"), b"{}")
    for each in (delivery.ack, delivery.ack, delivery.ack, speak, partial(speak, qos=0)):
        speaker = threading.Thread(target=each, daemon=True)
        speaker.start()
        speaker.join(WAIT_S)
        assert not speaker.is_alive()
    recorder.session.stop(flush_s=0)
    client._sock_close()


def test_a_retained_message_is_asked_for_or_not(peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery]) -> None:
    mqtt_probe("edge-left").publish("pcb/status/edge-left", b"old", retain=True)
    other: Inbox[Delivery] = Inbox(9)
    peer("recorder", Subscription(TOPICS.all_status, inbox.put, retained=True))
    peer("dashboard", Subscription(TOPICS.all_status, other.put))
    delivery = taken(inbox)
    assert (delivery.payload, delivery.retain) == (b"old", True)
    mqtt_probe("edge-left").publish("pcb/status/edge-left", b"new", retain=True)
    delivery = taken(other)
    assert (delivery.payload, delivery.retain) == (b"new", True)  # published with the flag, so it says so


def test_stop_waits_for_what_was_published(peer: OpenPeer, mqtt_probe: OpenProbe) -> None:
    viewer = mqtt_probe("viewer")
    viewer.subscribe("pcb/verdict")
    inference = peer("inference")
    for number in range(250):
        inference.session.publish(TOPICS.verdict, str(number).encode())
    inference.session.stop()
    assert len(viewer.wait_for_count("pcb/verdict", 250)) == 250


def test_stop_does_not_wait_for_a_broker_that_stands_still(peer: OpenPeer, broker: Broker) -> None:
    edge = peer("edge-left")
    with broker.frozen():
        while edge.session.publish(TOPICS.frame("left"), bytes(1_000_000), qos=0):
            pass  # until not even the goodbye goes out
        before = time.monotonic()
        edge.session.stop(flush_s=0.1)
        assert time.monotonic() - before < 3


def test_stop_does_not_wait_for_a_connection_attempt() -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):  # the backlog is full: who comes now waits at the door
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        session = MqttSession("pcb-recorder", Login(BrokerSettings(host="127.0.0.1", port=deaf.getsockname()[1])))
        session.start()
        until(lambda: session._network_thread is not None)
        before = time.monotonic()
        session.stop()
        assert time.monotonic() - before < 3


def test_two_interests_in_one_message_are_both_served(
    peer: OpenPeer, mqtt_probe: OpenProbe, inbox: Inbox[Delivery]
) -> None:
    other: Inbox[Delivery] = Inbox(9)
    handlers = (
        Subscription(TopicFilter("pcb/trigger"), inbox.put),
        Subscription(TopicFilter("pcb/trigger"), other.put),
    )
    peer("recorder", *handlers)
    mqtt_probe("trigger").publish("pcb/trigger", b"both")
    assert taken(inbox).payload == taken(other).payload == b"both"


def test_a_stopped_session_leaves_no_socket_open(peer: OpenPeer) -> None:
    recorder = peer("recorder")
    left = wake_up_calls(recorder.session._client)
    recorder.session.stop()
    assert [each.fileno() for each in left] == [-1, -1]
