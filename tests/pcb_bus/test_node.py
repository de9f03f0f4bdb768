"""Birth, life and will of a node, and the commands that it answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.peer import Peer, broker_settings
from support.probe import Probe, Received

from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Command, CommandReply, Event, NodeStatus
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import CommandFailed, ConfigError
from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import MqttSession
from pcb_bus.runtime.node import Identity, Node, valid_response_topic, with_credentials
from pcb_bus.runtime.settings import BrokerSettings, LineSettings

OpenPeer = Callable[..., Peer]
OpenProbe = Callable[..., Probe]


@pytest.fixture
def settings(broker: Broker) -> LineSettings:
    login = broker_settings(broker, "none").model_copy(update={"credentials": broker.credentials_folder})
    return LineSettings(broker=login)


@pytest.fixture
def node(settings: LineSettings) -> Iterator[Node]:
    made = Node(Identity("edge_publisher", "edge-left"), settings)
    made.start()
    with ExitStack() as ending:
        ending.callback(made.stop)
        assert made.session.wait_connected(10)
        yield made


@pytest.fixture
def requester(settings: LineSettings) -> Iterator[Requester]:
    session = MqttSession("pcb-dashboard", with_credentials(settings.broker, "dashboard"))
    made = Requester(session, Topics(), "dashboard")
    session.start()
    assert session.wait_connected(10)
    yield made
    session.stop()


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe("pcb/status/+", "pcb/event/+")
    return probe


def state(message: Received) -> str:
    return decode_json(NodeStatus, message.payload).state


def test_the_birth_is_retained(node: Node, mqtt_probe: OpenProbe, viewer: Probe) -> None:
    viewer.wait_for("pcb/status/edge-left")
    late = mqtt_probe("viewer")
    late.subscribe("pcb/status/+")
    message = late.wait_for("pcb/status/edge-left")
    status = decode_json(NodeStatus, message.payload)
    assert message.retain
    assert (status.state, status.service, status.node) == ("online", "edge_publisher", "edge-left")


def test_nothing_is_said_after_the_goodbye(node: Node, mqtt_probe: OpenProbe, monkeypatch: pytest.MonkeyPatch) -> None:
    say_goodbye = node.session.stop

    def stop() -> None:
        node.set_state("online", "a camera that came back too late")
        say_goodbye()

    monkeypatch.setattr(node.session, "stop", stop)
    node.stop()
    late = mqtt_probe("viewer")
    late.subscribe("pcb/status/+")
    assert state(late.wait_for("pcb/status/edge-left")) == "offline"


def test_a_node_says_how_it_is_once(node: Node, viewer: Probe) -> None:
    for _ in range(3):
        node.set_state("degraded", "no camera")
    node.set_state("online")
    viewer.wait_for("pcb/status/edge-left", lambda each: state(each) == "degraded")
    viewer.wait_for("pcb/status/edge-left", lambda each: state(each) == "online" and not each.retain)
    degraded = [each for each in viewer.received("pcb/status/edge-left") if state(each) == "degraded"]
    assert [decode_json(NodeStatus, each.payload).detail for each in degraded] == ["no camera"]


def test_after_an_outage_a_node_says_how_it_is_now(
    node: Node, broker: Broker, mqtt_probe: OpenProbe, viewer: Probe
) -> None:
    broker.stop()
    node.set_state("degraded", "no camera")
    broker.start()
    late = mqtt_probe("viewer")
    late.subscribe("pcb/status/+")
    late.wait_for("pcb/status/edge-left", lambda each: state(each) == "degraded")


@pytest.fixture
def _quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcb_bus.runtime.node._HEARTBEAT_S", 0.05)


@pytest.mark.usefixtures("_quick_heart")
def test_a_node_that_is_asked_all_the_time_still_says_that_it_lives(
    node: Node, requester: Requester, viewer: Probe
) -> None:
    def beats() -> int:
        requester.ask("edge-left", "ping")
        return len(viewer.received("pcb/status/edge-left"))

    assert any(beats() >= 4 for _ in range(2000))


def test_goodbye_is_an_offline_status(settings: LineSettings, viewer: Probe) -> None:
    node = Node(Identity("edge_publisher", "edge-left"), settings)
    node.start()
    viewer.wait_for("pcb/status/edge-left", lambda each: state(each) == "online")
    node.stop()
    message = viewer.wait_for("pcb/status/edge-left", lambda each: state(each) == "offline")
    assert decode_json(NodeStatus, message.payload).detail == "stopped"


def test_an_event_is_published_and_logged(node: Node, viewer: Probe, caplog: pytest.LogCaptureFixture) -> None:
    node.event("warning", "camera gone", tries=3)
    event = decode_json(Event, viewer.wait_for("pcb/event/edge-left").payload)
    assert (event.level, event.source, event.message, event.details) == (
        "warning",
        "edge-left",
        "camera gone",
        {"tries": 3},
    )
    assert "camera gone" in caplog.text


def test_every_node_answers_ping(node: Node, requester: Requester) -> None:
    assert requester.ask("edge-left", "ping") == {}


def test_a_command_gets_its_parameters_and_gives_its_result(node: Node, requester: Requester) -> None:
    node.on_command("resend", lambda params: {"again": params})
    assert requester.ask("edge-left", "resend", board_id="b", triggered_at=5) == {
        "again": {"board_id": "b", "triggered_at": 5}
    }


def fail_in_words(_: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("no such board")


def fail_by_mistake(params: dict[str, Any]) -> dict[str, Any]:
    return {"board": params["board_id"]}


def answer_nonsense(_: dict[str, Any]) -> dict[str, Any]:
    return {"lock": threading.Lock()}


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (fail_in_words, "edge-left: no such board"),
        (fail_by_mistake, "edge-left: fault in this node: KeyError: 'board_id'"),
        (answer_nonsense, "edge-left: .*serialize"),
    ],
)
def test_a_command_that_fails_says_so_and_the_node_lives_on(
    node: Node, requester: Requester, handler: Callable[[dict[str, Any]], dict[str, Any]], error: str
) -> None:
    node.on_command("resend", handler)
    with pytest.raises(CommandFailed, match=error):
        requester.ask("edge-left", "resend")
    assert requester.ask("edge-left", "ping") == {}


def test_an_unknown_command_is_answered_with_those_that_there_are(node: Node, requester: Requester) -> None:
    with pytest.raises(CommandFailed, match="unknown command; this node knows ping"):
        requester.ask("edge-left", "dance")


def test_a_node_that_is_not_there_does_not_answer(requester: Requester) -> None:
    with pytest.raises(CommandFailed, match=r"edge-right did not answer ping within 0\.05 s"):
        requester.ask("edge-right", "ping", timeout=0.05)


def test_a_foreign_client_may_ask(node: Node, mqtt_probe: OpenProbe) -> None:
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator")
    command = b'{"v": 1, "command": "ping"}'
    operator.publish("pcb/command/edge-left", command, ResponseTopic="pcb/reply/operator", CorrelationData=b"7")
    reply = operator.wait_for("pcb/reply/operator")
    assert json.loads(reply.payload) == {"v": 1, "result": {}, "error": None}
    assert reply.properties is not None
    assert reply.properties.json()["CorrelationData"] == b"7".hex()


def test_a_command_that_is_nonsense_is_answered(node: Node, mqtt_probe: OpenProbe) -> None:
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator")
    operator.publish("pcb/command/edge-left", b"{}", ResponseTopic="pcb/reply/operator")
    assert "command: Field required" in str(decode_json(CommandReply, operator.wait_for("pcb/reply/operator").payload))


def test_nobody_makes_a_node_publish_elsewhere(node: Node, mqtt_probe: OpenProbe, viewer: Probe) -> None:
    operator = mqtt_probe("operator")
    operator.publish("pcb/command/edge-left", encode_json(Command(command="ping")), ResponseTopic="pcb/event/edge-left")
    node.event("info", "after")
    viewer.wait_for("pcb/event/edge-left")
    assert len(viewer.received("pcb/event/edge-left")) == 1


@pytest.mark.parametrize(
    ("topic", "valid"),
    [
        ("pcb/reply/dashboard", True),
        ("pcb/reply/dashboard/7", True),
        ("pcb/reply/", False),
        ("pcb/reply/+", False),
        ("pcb/verdict", False),
        ("pcbs/reply/x", False),
    ],
)
def test_answers_go_below_reply(topic: str, valid: bool) -> None:
    assert valid_response_topic(topic, "pcb") is valid


def test_a_login_in_the_settings_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "recorder.yaml").write_text("username: recorder\npassword: from the file\n")
    own = BrokerSettings(credentials=tmp_path, username="me", password="mine")
    assert with_credentials(own, "recorder").username == "me"
    assert with_credentials(BrokerSettings(credentials=tmp_path), "recorder").password == "from the file"
    assert with_credentials(BrokerSettings(credentials=tmp_path), "nobody").username is None


@pytest.mark.parametrize("content", [b"", b"username: recorder", b"- a list", b"a: [", b"\xff\xfe"])
def test_a_credentials_file_that_cannot_be_used_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "recorder.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^broker\.credentials: [^\n]+ needs username and password$"):
        with_credentials(BrokerSettings(credentials=tmp_path), "recorder")
