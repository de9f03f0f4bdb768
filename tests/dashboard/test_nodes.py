"""The nodes and the alerts: how they are shown, and what people may have done about them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from sqlalchemy import insert, select, text
from support.dashboard_station import Station
from support.peer import until
from support.probe import Probe
from support.red_spots import board_jpeg

from dashboard.accounts import Refused
from dashboard.nodes import orders, params_of
from pcb_bus.contract.codec import decode_json, encode_json, encode_msgpack
from pcb_bus.contract.messages import Command, CommandReply, Frame, NodeStatus
from pcb_bus.contract.times import now_ns
from pcb_bus.contract.topics import Topics
from records.tables import Alert, AuditEntry

TOPICS = Topics()


@pytest.fixture(scope="module")
def actuator(station: Station) -> Iterator[list[Command]]:
    """Answers what it is told: done, or refused if it is a test."""
    heard: list[Command] = []
    with Probe(station.broker, "actuator") as probe, Probe(station.broker, "edge-left") as edge:

        def answer(peer: Probe) -> Callable[[Any, Any, Any], None]:
            def answering(_c: Any, _u: Any, message: Any) -> None:
                command = decode_json(Command, message.payload)
                heard.append(command)
                payload = encode_json(_reply(command))
                if command.command == "snapshot":
                    payload = encode_msgpack(_frame())
                properties = message.properties
                sent = peer.client.publish(properties.ResponseTopic, payload, 1, properties=_same(properties))
                assert sent.rc == 0

            return answering

        for peer, node in ((probe, "actuator"), (edge, "edge-left")):
            peer.client.message_callback_add(str(TOPICS.command(node)), answer(peer))
            peer.subscribe(str(TOPICS.command(node)))
            peer.publish(str(TOPICS.status(node)), encode_json(_status(node)), retain=True)
        until(lambda: {"actuator", "edge-left"} <= _online(station))
        yield heard


def _same(asked: Any) -> Any:
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = asked.CorrelationData
    return properties


def _reply(command: Command) -> CommandReply:
    if command.command == "test_pulse":
        return CommandReply(result={}, error="armed: disarm the gates first <now>")
    return CommandReply(result={"armed": command.command == "arm"}, error=None)


def _frame() -> Frame:
    return Frame(
        side="left", board_id=None, triggered_at=None, frame_id="f-1", captured_at=now_ns(), width=64, height=48,
        jpeg=board_jpeg(short=True),
    )  # fmt: skip


def _status(node: str) -> NodeStatus:
    return NodeStatus(
        state="degraded", service=node, node=node, version="9.8.7", host="pi-one", started_at=now_ns(),
        updated_at=now_ns(), detail="lens <dirty>", trigger="presence", leader="edge-left", clock_offset_ms=12.34,
        clock_uncertainty_ms=0.5,
    )  # fmt: skip


def _online(station: Station) -> set[str]:
    return {each["node"] for each in station.service.viewers.state.get("nodes", ()) if each["state"] == "degraded"}


def audited(station: Station) -> AuditEntry:
    with station.engine.connect() as connection:
        query = select(AuditEntry).where(AuditEntry.action.not_in(["login", "logout"])).order_by(AuditEntry.id.desc())
        return AuditEntry(**connection.execute(query.limit(1)).mappings().one())


@pytest.fixture
def engineer(station: Station) -> Iterator[httpx.Client]:
    with station.visit("engineer") as client:
        yield client


def test_a_node_says_how_it_is(station: Station, actuator: list[Command], engineer: httpx.Client) -> None:
    page = engineer.get("/nodes").text
    for said in ("9.8.7", "pi-one", "lens &lt;dirty&gt;", "presence", "12.3 ± 0.5 ms", "/nodes/edge-left/pause"):
        assert said in page
    with station.visit("viewer") as viewer:
        assert "/nodes/edge-left/pause" not in viewer.get("/nodes").text


def test_a_disarm_is_one_touch_of_an_operator(station: Station, actuator: list[Command]) -> None:
    with station.visit("operator") as operator:
        answer = operator.post("/nodes/actuator/disarm")
        assert answer.status_code == 303
        assert "{&#34;armed&#34;: false}" in operator.get(answer.headers["location"]).text
    assert actuator[-1].command == "disarm"
    entry = audited(station)
    assert (entry.action, entry.subject, entry.username) == ("command disarm", "actuator", "operator")
    assert entry.after == {"params": {}, "result": {"armed": False}}


def test_a_disarm_needs_no_database(station: Station, actuator: list[Command]) -> None:
    with station.visit("operator") as operator:
        operator.get("/nodes")
        before = len(actuator)
        with station.engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit_log RENAME TO away"))
        try:
            answer = operator.post("/nodes/actuator/disarm")
        finally:
            with station.engine.begin() as connection:
                connection.execute(text("ALTER TABLE away RENAME TO audit_log"))
    assert (answer.status_code, "armed" in answer.text) == (200, True)
    assert [each.command for each in actuator[before:]] == ["disarm"]


def test_a_command_is_confirmed_and_its_error_is_shown(
    station: Station, actuator: list[Command], engineer: httpx.Client
) -> None:
    assert 'name="category"' in engineer.get("/nodes/actuator/test_pulse").text
    answer = engineer.post("/nodes/actuator/test_pulse", data={"category": "solder", "duration_ms": "250"})
    page = engineer.get(answer.headers["location"]).text
    assert "disarm the gates first &lt;now&gt;" in page
    assert actuator[-1].params == {"category": "solder", "duration_ms": 250}
    assert audited(station).after["error"].startswith("actuator: armed")  # type: ignore[index]
    with station.visit("admin") as other:
        assert "disarm the gates first" not in other.get(answer.headers["location"]).text
    before = len(actuator)
    assert engineer.post("/nodes/actuator/test_pulse", data={"category": ""}).status_code == 422
    assert engineer.get("/nodes/actuator/reboot").status_code == 404
    assert engineer.post("/nodes/elsewhere/arm").status_code == 404
    assert len(actuator) == before


def test_a_snapshot_is_shown(actuator: list[Command], engineer: httpx.Client) -> None:
    assert engineer.get("/nodes/edge-right/snapshot.jpg").status_code == 404
    answer = engineer.post("/nodes/edge-left/snapshot")
    assert "/nodes/edge-left/snapshot.jpg" in engineer.get(answer.headers["location"]).text
    assert engineer.get("/nodes/edge-left/snapshot.jpg").content == board_jpeg(short=True)


def test_values_of_a_command() -> None:
    camera = next(each for each in orders("edge-left", ["left"]) if each.command == "set")
    empty = dict.fromkeys((each.name for each in camera.params), "")
    assert params_of(camera, empty | {"fps": "12.5", "quality": "80", "focus": "auto"}) == {
        "fps": 12.5, "quality": 80, "focus": "auto",
    }  # fmt: skip
    for wrong in ({}, {"fps": "auto"}, {"fps": "nan"}, {"gain": "1e99"}, {"quality": "x"}):
        with pytest.raises(Refused):
            params_of(camera, empty | wrong)
    assert orders("edge-top", ["left"]) == ()


@pytest.fixture
def alert(station: Station) -> Iterator[int]:
    row = {
        "line": "pcb", "kind": "node_away", "subject": "edge-left", "level": "warning", "message": "no <news>",
        "details": {}, "raised_at": datetime.now(UTC),
    }  # fmt: skip
    with station.engine.begin() as connection:
        made = connection.execute(insert(Alert).values(row)).inserted_primary_key[0]  # type: ignore[index]
    yield made
    with station.engine.begin() as connection:
        connection.execute(Alert.__table__.delete())  # type: ignore[attr-defined]


def test_an_alert_is_acknowledged_and_resolved_by_a_person(station: Station, alert: int) -> None:
    def row() -> Any:
        with station.engine.connect() as connection:
            return connection.execute(select(Alert).where(Alert.id == alert)).mappings().one()

    with station.visit("operator") as operator:
        assert "no &lt;news&gt;" in operator.get("/alerts").text
        assert operator.post(f"/alerts/{alert}/acknowledge").status_code == 303
        assert (row()["user_id"], row()["resolved_at"]) == (station.ids["operator"], None)
        assert (audited(station).action, audited(station).subject) == ("alert acknowledged", "edge-left")
        seen_at = row()["acknowledged_at"]
        with station.visit("admin") as late:
            late.post(f"/alerts/{alert}/acknowledge")
        assert (row()["user_id"], row()["acknowledged_at"]) == (station.ids["operator"], seen_at)
        assert operator.post(f"/alerts/{alert}/resolve").status_code == 303
        assert row()["resolved_at"] is not None
        assert audited(station).action == "alert resolved"
        assert "no &lt;news&gt;" not in operator.get("/alerts").text
        assert operator.post("/alerts/999999/resolve").status_code == 404
