"""The oversight of a recorder on a real broker and both databases."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import URL, select, update
from sqlalchemy.exc import OperationalError
from support.mariadb import MariaDb
from support.peer import until
from support.ports import free_port
from support.probe import Probe, Received
from support.recording import lose_everything, wait_recorded, wait_state

from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json, encode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import (
    Actuation,
    Evidence,
    NodeState,
    NodeStatus,
    Outcome,
    Trigger,
    Unreported,
    UnreportedVerdict,
    Verdict,
)
from pcb_bus.contract.times import now_ns
from pcb_bus.mqtt.session import Delivery, MqttSession
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings
from recorder.__main__ import main
from recorder.oversight import Oversight
from recorder.service import RecorderService, build
from recorder.settings import AlertSettings, OversightSettings, RecorderLine, RecorderSettings, SpoolSettings
from recorder.spool import Spool
from records.database import database_url, make_engine
from records.migrate import bring_up_to_date
from records.tables import Alert, Inspection, SystemLog

OpenProbe = Callable[..., Probe]
Start = Callable[..., RecorderService]
EVENTS = "pcb/event/recorder"


@pytest.fixture
def start(broker: Broker, url: URL, tmp_path: Path) -> Iterator[Start]:
    """Starts recorders that lose no time; what still runs at the end of the test is stopped."""
    with ExitStack() as running:

        def start(**changes: Any) -> RecorderService:
            service = build(line(broker, url, tmp_path, **changes))
            service.start()
            running.callback(service.stop)
            return service

        yield start


def line(broker: Broker, url: URL, folder: Path, **changes: Any) -> RecorderLine:
    fields = {
        "database_url": url.render_as_string(hide_password=False),
        "images": folder / "images",
        "batch_ms": 5,
        "spool": SpoolSettings(path=folder / "spool.db"),
        "alerts": AlertSettings(offline_grace_s=0.1, min_free_mb=0),
        "oversight": OversightSettings(report_after_s=1),
    }
    login = BrokerSettings(host=broker.host, port=broker.port, credentials=broker.credentials_folder)
    return RecorderLine(broker=login, recorder=RecorderSettings(**(fields | changes)))


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe("pcb/recorded", "pcb/status/recorder", EVENTS, "pcb/config")
    return probe


@pytest.fixture
def publish_board(
    mqtt_probe: OpenProbe, make_actuation: Callable[..., Actuation], make_evidence: Callable[..., Evidence]
) -> Callable[[Trigger, Verdict], None]:
    """Publishes all that belongs to a board."""
    trigger_login, inference, actuator = (mqtt_probe(role) for role in ("trigger", "inference", "actuator"))

    def publish(trigger: Trigger, verdict: Verdict) -> None:
        board = {"verdict_id": verdict.verdict_id, "board_id": verdict.board_id}
        trigger_login.publish("pcb/trigger", encode_json(trigger))
        inference.publish("pcb/verdict", encode_json(verdict))
        inference.publish("pcb/evidence/left", encode_msgpack(make_evidence().model_copy(update=board)))
        actuator.publish("pcb/actuation", encode_json(make_actuation(**board)))

    return publish


def wait_event(viewer: Probe, message: str) -> dict[str, Any]:
    """The event that says so."""
    found: dict[str, Any] = json.loads(viewer.wait_for(EVENTS, lambda received: says(received) == message).payload)
    return found


def says(received: Received) -> str:
    return str(json.loads(received.payload)["message"])


def read(url: URL, *columns: Any) -> list[tuple[Any, ...]]:
    engine = make_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(select(*columns))]
    engine.dispose()
    return rows


def alerts(url: URL) -> list[tuple[str, str, bool]]:
    """Kind, subject, and whether it is open."""
    return [
        (kind, subject, end is None) for kind, subject, end in read(url, Alert.kind, Alert.subject, Alert.resolved_at)
    ]


def say_state(probe: Probe, node: str, state: NodeState, detail: str = "") -> None:
    at = now_ns()
    status = NodeStatus(
        state=state, service=node, node=node, version="1", host="pi", started_at=at, updated_at=at, detail=detail
    )
    probe.publish(f"pcb/status/{node}", encode_json(status), retain=True)


def announced(make_verdict: Callable[..., Verdict], name: str) -> tuple[Trigger, Verdict]:
    """A board that stands in front of the cameras now, and its verdict."""
    at = now_ns() // 1_000_000 * 1_000_000
    identity = verdict_id("pcb", name, at)
    times = {"captured_at": at, "judged_at": at + 1000, "deadline_at": at + 10**9}
    trigger = Trigger(board_id=name, triggered_at=at, source="plc")
    return trigger, make_verdict(verdict_id=identity, board_id=name, **times)


def test_a_node_that_is_gone_and_back(start: Start, viewer: Probe, mqtt_probe: OpenProbe, url: URL) -> None:
    inference = mqtt_probe("inference")
    say_state(inference, "inference", "offline", "connection lost")
    service = start()
    assert wait_event(viewer, "inference is offline")["details"]["reason"] == "connection lost"
    until(lambda: alerts(url) == [("node_offline", "inference", True)])
    service.stop()
    after = wait_state(viewer, "offline")
    start()
    wait_state(viewer, "online", after)
    say_state(inference, "inference", "online")
    wait_event(viewer, "back to normal: inference is offline")
    until(lambda: alerts(url) == [("node_offline", "inference", False)])
    assert len([event for event in viewer.received(EVENTS) if says(event) == "inference is offline"]) == 1
    until(lambda: ("back to normal: inference is offline",) in read(url, SystemLog.message))


def test_a_node_that_leaves_the_line_has_no_alert(start: Start, viewer: Probe, mqtt_probe: OpenProbe, url: URL) -> None:
    edge = mqtt_probe("edge-left")
    say_state(edge, "edge-left", "offline", "stopped")
    start()
    assert wait_event(viewer, "edge-left was stopped")["level"] == "info"
    edge.publish("pcb/status/edge-left", b"", retain=True)
    wait_event(viewer, "back to normal: edge-left was stopped")


def test_a_board_without_a_verdict_until_it_comes(
    start: Start, viewer: Probe, mqtt_probe: OpenProbe, make_verdict: Callable[..., Verdict], url: URL
) -> None:
    start(verdict_deadline_ms=300)
    wait_state(viewer, "online")
    trigger, verdict = announced(make_verdict, "board-1")
    mqtt_probe("trigger").publish("pcb/trigger", encode_json(trigger))
    wait_event(viewer, "board board-1 has no verdict")
    assert read(url, Inspection.status, Inspection.defect_type) == [("missing", "미판정")]
    until(lambda: alerts(url) == [("unaccounted_board", verdict.verdict_id, True)])
    mqtt_probe("inference").publish("pcb/verdict", encode_json(verdict))
    wait_event(viewer, "back to normal: board board-1 has no verdict")
    until(lambda: alerts(url) == [("unaccounted_board", verdict.verdict_id, False)])
    assert read(url, Inspection.status) == [("ok",)]


def test_too_many_boards_that_are_not_normal(
    start: Start, viewer: Probe, mqtt_probe: OpenProbe, make_verdict: Callable[..., Verdict], url: URL
) -> None:
    start(alerts=AlertSettings(defect_rate=0.5, defect_rate_boards=4, defect_rate_least_boards=4, min_free_mb=0))
    wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    for name in "abc":
        inference.publish("pcb/verdict", encode_json(announced(make_verdict, name)[1]))
    good = {"category": "normal", "final_defect_type": "정상"}
    inference.publish("pcb/verdict", encode_json(announced(make_verdict, "d")[1].model_copy(update=good)))
    wait_event(viewer, "3 of the last 4 boards were not normal")
    for name in "efgh":
        inference.publish("pcb/verdict", encode_json(announced(make_verdict, name)[1].model_copy(update=good)))
    wait_event(viewer, "back to normal: 3 of the last 4 boards were not normal")
    until(lambda: alerts(url) == [("defect_rate", "pcb", False)])


def test_a_disk_that_is_nearly_full(start: Start, viewer: Probe, url: URL) -> None:
    start(alerts=AlertSettings(min_free_mb=1e12))
    event = json.loads(viewer.wait_for(EVENTS, lambda received: "MB are free" in says(received)).payload)
    assert (event["level"], event["details"]["alert"]) == ("error", "disk_nearly_full")
    until(lambda: [(kind, is_open) for kind, _, is_open in alerts(url)] == [("disk_nearly_full", True)])


def test_verdicts_without_a_report_are_named_to_the_actuator(
    start: Start,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    make_verdict: Callable[..., Verdict],
    make_actuation: Callable[..., Actuation],
) -> None:
    start()
    wait_state(viewer, "online")
    inference, actuator = mqtt_probe("inference"), mqtt_probe("actuator")
    actuator.subscribe("pcb/unreported")
    say_state(actuator, "actuator", "online")
    verdicts = {name: announced(make_verdict, name)[1] for name in (*get_args(Outcome), "lost")}
    for outcome in get_args(Outcome):
        report = make_actuation(verdict_id=verdicts[outcome].verdict_id, board_id=outcome, outcome=outcome)
        actuator.publish("pcb/actuation", encode_json(report))
    for verdict in verdicts.values():
        inference.publish("pcb/verdict", encode_json(verdict))
    named = actuator.wait_for("pcb/unreported")
    unreported = Unreported(
        verdicts=tuple(  # that a verdict came again is no report of it
            UnreportedVerdict(verdict_id=verdicts[name].verdict_id, board_id=name, category="solder")
            for name in ("duplicate", "lost")
        )
    )
    found = decode_json(Unreported, named.payload)
    assert sorted(found.verdicts, key=lambda each: each.board_id) == list(unreported.verdicts)
    assert (named.qos, named.retain) == (1, False)


def test_live_values_reach_the_line_and_outlive_the_broker(
    broker: Broker, start: Start, viewer: Probe, mqtt_probe: OpenProbe, url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    wait_state(viewer, "online")
    monkeypatch.setenv("PCB_RECORDER__DATABASE_URL", url.render_as_string(hide_password=False))
    assert main(["config", "jpeg_quality", "70"]) == 0
    viewer.wait_for("pcb/config", lambda received: json.loads(received.payload)["values"] == {"jpeg_quality": 70})
    lose_everything(broker)
    late = mqtt_probe("viewer")
    late.subscribe("pcb/config")
    late.wait_for("pcb/config", lambda received: json.loads(received.payload)["values"] == {"jpeg_quality": 70})


def test_what_was_recorded_whole_reconciles(
    start: Start,
    viewer: Probe,
    publish_board: Callable[[Trigger, Verdict], None],
    make_verdict: Callable[..., Verdict],
    url: URL,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = start()
    wait_state(viewer, "online")
    boards = [announced(make_verdict, f"board-{number}") for number in range(5)]
    for trigger, verdict in boards:
        publish_board(trigger, verdict)
    names = [verdict.verdict_id for _, verdict in boards]
    for kind in ("triggers", "verdicts", "actuations"):
        wait_recorded(viewer, *names, kind=kind)
    service.stop()
    span = ("--until", (datetime.now(UTC) + timedelta(seconds=1)).isoformat(), "--files")
    monkeypatch.setenv("PCB_RECORDER__DATABASE_URL", url.render_as_string(hide_password=False))
    code = main(["reconcile", *span, "--recorder.images", str(tmp_path / "images")])
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.splitlines()[-2].split() == ["all", "5", "5", "5", "5", "0"]


def test_an_alert_while_the_database_is_away_is_told_at_once_and_written_later(
    broker: Broker, viewer: Probe, mqtt_probe: OpenProbe, mariadb: MariaDb, mariadb_url: str, tmp_path: Path
) -> None:
    url = database_url(mariadb_url)
    service = build(line(broker, url, tmp_path))
    service.start()
    try:
        wait_state(viewer, "online")
        mariadb.kill()
        say_state(mqtt_probe("inference"), "inference", "offline", "connection lost")
        wait_event(viewer, "inference is offline")
        mariadb.start()
        until(lambda: alerts(url) == [("node_offline", "inference", True)])
    finally:
        service.stop()


def test_without_a_connection_nothing_is_named_and_no_board_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    settings = RecorderLine(broker=BrokerSettings(port=free_port()))
    service = Service("recorder", "recorder", settings)
    engine = make_engine(database_url(f"sqlite:///{tmp_path / 'records.db'}"))
    connected = lambda: service.session.connected  # noqa: E731
    with closing(Spool(tmp_path / "spool.db", 10, 1)) as spool:
        oversight = Oversight(service, settings, engine, {}, spool, lambda *_: [], connected)
    monkeypatch.setattr(oversight._gates, "look", lambda *_: looks.append("gates"))
    monkeypatch.setattr(oversight._lost, "_untold", lambda: looks.append("boards") or [])
    status = NodeStatus(
        state="online", service="actuator", node="actuator", version="1", host="pi", started_at=0, updated_at=0
    )
    oversight._see(Delivery("pcb/status/actuator", encode_json(status), True, 0, None, None, lambda: None))

    def look() -> None:
        oversight.look_for_lost_boards()
        oversight._look_for_unreported()

    look()
    assert looks == []
    monkeypatch.setattr(MqttSession, "connected", True)
    look()
    assert looks == ["boards", "gates"]
    engine.dispose()


def test_a_disk_of_the_spool_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RecorderLine(broker=BrokerSettings(port=free_port()))
    service = Service("recorder", "recorder", settings)
    engine = make_engine(database_url(f"sqlite:///{tmp_path / 'records.db'}"))
    with closing(Spool(tmp_path / "spool.db", 10, 1)) as spool:
        oversight = Oversight(service, settings, engine, {}, spool, lambda *_: [], lambda: True)
        with spool._using():
            monkeypatch.setattr("recorder.oversight._STUCK_S", 0.0)
            oversight._look_at_spool(spool)
            assert "hangs" in service.health["disk of the spool"]
        oversight._look_at_spool(spool)
        assert service.health["disk of the spool"] == ""
    engine.dispose()


def test_at_night_it_counts_and_raises_what_it_finds(
    start: Start, viewer: Probe, mqtt_probe: OpenProbe, make_verdict: Callable[..., Verdict], url: URL
) -> None:
    service = start()
    wait_state(viewer, "online")
    _, verdict = announced(make_verdict, "board-1")
    old = verdict.model_copy(update={"captured_at": verdict.captured_at - 3600 * 10**9})
    mqtt_probe("inference").publish("pcb/verdict", encode_json(old))
    wait_recorded(viewer, verdict.verdict_id)
    service._oversight._next_night = datetime.now(UTC)
    wait_event(viewer, "the records have gaps: 1 × verdict without report")
    assert wait_event(viewer, "reconciliation: there are gaps")["details"]["gaps"] == {"verdict without report": 1}
    until(lambda: alerts(url) == [("reconciliation", "pcb", True)])
    assert service._oversight._next_night > datetime.now(UTC)


@pytest.fixture
def oversight(tmp_path: Path) -> Iterator[Oversight]:
    """Not connected, on a database without tables."""
    settings = RecorderLine(broker=BrokerSettings(port=free_port()))
    service = Service("recorder", "recorder", settings)
    engine = make_engine(database_url(f"sqlite:///{tmp_path / 'records.db'}"))
    with closing(Spool(tmp_path / "spool.db", 10, 1)) as spool:
        yield Oversight(service, settings, engine, {}, spool, lambda *_: [], lambda: True)
    engine.dispose()


def test_a_night_whose_count_failed_is_counted_ten_minutes_later(oversight: Oversight) -> None:
    oversight._next_night = night = datetime.now(UTC) - timedelta(hours=1)
    with pytest.raises(OperationalError):
        oversight._count_at_night()
    oversight._count_at_night()
    assert oversight._next_night == night
    assert oversight._not_before - datetime.now(UTC) > timedelta(minutes=9)
    bring_up_to_date(oversight._engine.url, "pcb", ZoneInfo("UTC"))
    oversight._not_before = night
    oversight._count_at_night()
    assert oversight._next_night > datetime.now(UTC)


def test_a_count_that_hangs_silences_no_other_look(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    hangs, over, looked_meanwhile = Event(), Event(), Event()

    def hang(_: Oversight) -> None:
        hangs.set()
        over.wait()

    def look(_: Oversight) -> None:
        if hangs.is_set():
            looked_meanwhile.set()

    monkeypatch.setattr(Oversight, "_count_at_night", hang)
    monkeypatch.setattr(Oversight, "_look_for_unreported", look)
    oversight: Oversight = request.getfixturevalue("oversight")
    oversight.start()
    try:
        assert looked_meanwhile.wait(20)
    finally:
        over.set()
        oversight.stop()


def test_a_night_that_is_turned_off_never_comes(start: Start) -> None:
    assert start(oversight=OversightSettings(reconcile_at="none"))._oversight._next_night is None


def test_a_lost_board_whose_alert_a_person_resolved_is_not_raised_again(
    start: Start, viewer: Probe, mqtt_probe: OpenProbe, make_verdict: Callable[..., Verdict], url: URL
) -> None:
    service = start(verdict_deadline_ms=300)
    wait_state(viewer, "online")
    trigger, verdict = announced(make_verdict, "board-1")
    mqtt_probe("trigger").publish("pcb/trigger", encode_json(trigger))
    until(lambda: alerts(url) == [("unaccounted_board", verdict.verdict_id, True)])
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(update(Alert).values(resolved_at=datetime.now(UTC)))
    engine.dispose()
    until(lambda: service._oversight.alerts.open() == [])
    service.stop()
    start(verdict_deadline_ms=300)
    mqtt_probe("inference").publish("pcb/verdict", encode_json(verdict))
    wait_recorded(viewer, verdict.verdict_id)
    assert alerts(url) == [("unaccounted_board", verdict.verdict_id, False)]
