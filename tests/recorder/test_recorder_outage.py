"""A database that is away, whatever way it is away: what arrives goes to the spool, and all of it to the database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pymysql
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import make_url, select
from support.mariadb import PASSWORD, USER, MariaDb
from support.peer import until
from support.probe import Probe
from support.recording import count, wait_recorded, wait_state

from broker import Broker
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Actuation, Trigger, Verdict
from recorder.intake import Delivered
from recorder.service import RecorderService
from recorder.settings import SpoolSettings
from recorder.spool import Arrival
from records import tables
from records.database import database_url, make_engine

OpenProbe = Callable[..., Probe]
StartRecorder = Callable[..., RecorderService]
MakeVerdict = Callable[..., Verdict]
AT = 1_795_248_000_123_000_000


@contextmanager
def stopped(mariadb: MariaDb) -> Iterator[None]:
    mariadb.stop()
    yield
    mariadb.start()


@contextmanager
def killed(mariadb: MariaDb) -> Iterator[None]:
    mariadb.kill()
    yield
    mariadb.start()


@contextmanager
def frozen(mariadb: MariaDb) -> Iterator[None]:
    with mariadb.frozen():
        yield


@contextmanager
def read_only(mariadb: MariaDb) -> Iterator[None]:
    # One with all rights may write all the same; the recorder's login in a factory has not got them.
    grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON *.*"
    mariadb.execute(f"REVOKE ALL ON *.* FROM '{USER}'@'127.0.0.1'", f"{grant} TO '{USER}'@'127.0.0.1'")
    mariadb.execute("SET GLOBAL read_only = ON")
    with as_root(mariadb) as root:
        end_connections(root, but=())
    yield
    mariadb.execute("SET GLOBAL read_only = OFF", f"GRANT ALL ON *.* TO '{USER}'@'127.0.0.1'")


@contextmanager
def out_of_connections(mariadb: MariaDb) -> Iterator[None]:
    mariadb.execute("SET GLOBAL max_connections = 10")
    with ExitStack() as others, as_root(mariadb) as root:
        mine = connect_until_refused(mariadb, others)
        end_connections(root, but=mine)
        connect_until_refused(mariadb, others)
        yield
    until(lambda: has_room(mariadb))
    mariadb.execute("SET GLOBAL max_connections = 151")


def as_root(mariadb: MariaDb) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(unix_socket=str(mariadb.directory / "s"), user="root")


def has_room(mariadb: MariaDb) -> bool:
    try:
        mariadb.execute("SELECT 1")
    except pymysql.OperationalError:
        return False
    return True


def connect_until_refused(mariadb: MariaDb, opened: ExitStack) -> list[int]:
    """The ids of the connections that were made."""
    made: list[int] = []
    with suppress(pymysql.OperationalError):
        while True:
            each = pymysql.connect(host="127.0.0.1", port=mariadb.port, user=USER, password=PASSWORD)
            opened.callback(each.close)
            made.append(each.thread_id())
    return made


def end_connections(root: "pymysql.Connection[pymysql.cursors.Cursor]", but: Sequence[int]) -> None:
    with root.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (USER,))
        for (each,) in cursor.fetchall():
            if each not in but:
                cursor.execute("KILL CONNECTION %s", (each,))


@pytest.mark.parametrize("away", [stopped, killed, frozen, read_only, out_of_connections])
def test_what_arrives_meanwhile_is_acknowledged_kept_and_recorded(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    make_verdict: MakeVerdict,
    away: Callable[[MariaDb], AbstractContextManager[None]],
) -> None:
    service = start_recorder(mariadb_url)
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    inference.publish("pcb/verdict", encode_json(make_verdict("before")))
    wait_recorded(viewer, "verdict-before")
    until(lambda: service.caught_up)
    names = [f"while-{number}" for number in range(30)]
    with away(mariadb):
        for name in names:
            inference.publish("pcb/verdict", encode_json(make_verdict(name)))
        seen = wait_state(viewer, "degraded", seen)
        until(lambda: len(service.spool) >= len(names))
        assert not service.caught_up
        assert [json.loads(each.payload)["verdicts"] for each in viewer.received("pcb/recorded")] == [
            ["verdict-before"]
        ]
    wait_state(viewer, "online", seen)
    wait_recorded(viewer, *(f"verdict-{name}" for name in names), timeout=25)
    until(lambda: service.caught_up)
    assert recorded_in_order(mariadb_url) == ["verdict-before", *(f"verdict-{name}" for name in names)]


def named(viewer: Probe) -> set[str]:
    return {name for each in viewer.received("pcb/recorded") for name in json.loads(each.payload)["verdicts"]}


def recorded_in_order(url: str) -> list[str]:
    engine = make_engine(database_url(url))
    with engine.connect() as connection:
        found = list(connection.scalars(select(tables.Inspection.verdict_id).order_by(tables.Inspection.id)))
    engine.dispose()
    return found


def test_a_process_killed_with_a_full_spool_brings_all_of_it_to_the_database_after_its_start(
    broker: Broker,
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    tmp_path: Path,
    make_verdict: MakeVerdict,
) -> None:
    inference = mqtt_probe("inference")
    names = [f"{number}" for number in range(30)]
    process = run_recorder(broker, mariadb_url, tmp_path)
    try:
        seen = wait_state(viewer, "online")
        mariadb.stop()
        for name in names:
            inference.publish("pcb/verdict", encode_json(make_verdict(name)))
        seen = wait_state(viewer, "degraded", seen)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert viewer.received("pcb/recorded") == []
    service = start_recorder(mariadb_url, spool=SpoolSettings(path=tmp_path / "var" / "recorder" / "spool.db"))
    inference.publish("pcb/verdict", encode_json(make_verdict("last")))
    wait_state(viewer, "degraded", wait_state(viewer, "offline", seen))
    mariadb.start()
    wait_recorded(viewer, *(f"verdict-{name}" for name in names), "verdict-last", timeout=25)
    until(lambda: service.caught_up)
    assert recorded_in_order(mariadb_url) == [f"verdict-{name}" for name in (*names, "last")]


def run_recorder(broker: Broker, url: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = [
        *(sys.executable, "-m", "recorder", "--broker.host", broker.host, "--broker.port", str(broker.port)),
        *("--broker.credentials", str(broker.credentials_folder)),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "PCB_RECORDER__DATABASE_URL": url}
    return subprocess.Popen(command, cwd=folder, env=environment)


def test_asked_to_stop_while_the_database_is_down_it_spools_and_acknowledges(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    make_verdict: MakeVerdict,
) -> None:
    service = start_recorder(mariadb_url)
    seen = wait_state(viewer, "online")
    until(lambda: service.caught_up)
    inference = mqtt_probe("inference")
    with frozen(mariadb):
        for number in range(20):
            inference.publish("pcb/verdict", encode_json(make_verdict(str(number))))
        arrived = received("trigger")
        mqtt_probe("trigger").publish("pcb/trigger", b"behind the verdicts")
        until(lambda: received("trigger") > arrived)
        before = time.monotonic()
        service.stop()
        assert time.monotonic() - before < 5
        wait_state(viewer, "offline", seen)
        assert len(service.spool) >= 20
    inference.publish("pcb/event/inference", b"so that the broker has handled all the acknowledgements")
    start_recorder(mariadb_url)
    wait_recorded(viewer, *(f"verdict-{number}" for number in range(20)))
    assert count(database_url(mariadb_url), tables.Inspection) == 20


def received(kind: str) -> float:
    return REGISTRY.get_sample_value("boardline_messages_received_total", {"kind": kind}) or 0.0


def test_a_full_spool_leaves_the_rest_with_the_broker_and_goes_on_when_there_is_room(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    tmp_path: Path,
    make_verdict: MakeVerdict,
) -> None:
    small = SpoolSettings(path=tmp_path / "spool.db", rows=25)
    service = start_recorder(mariadb_url, batch_size=10, spool=small)
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    with stopped(mariadb):
        for number in range(100):
            inference.publish("pcb/verdict", encode_json(make_verdict(str(number))))
        critical = viewer.wait_for("pcb/event/recorder", lambda each: json.loads(each.payload)["level"] == "critical")
        assert json.loads(critical.payload)["message"] == "the recorder's spool fails"
        assert json.loads(critical.payload)["details"]["reason"] == "the spool is full"
        assert len(service.spool) <= 25
    wait_state(viewer, "online", seen)
    wait_recorded(viewer, *(f"verdict-{number}" for number in range(100)), timeout=25)
    until(lambda: service.caught_up)
    assert recorded_in_order(mariadb_url) == [f"verdict-{number}" for number in range(100)]


def test_a_batch_that_no_spool_has_room_for_goes_through_it_piece_by_piece(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    tmp_path: Path,
    make_verdict: MakeVerdict,
) -> None:
    tiny = SpoolSettings(path=tmp_path / "spool.db", rows=1)
    service = start_recorder(mariadb_url, batch_ms=200, spool=tiny)
    seen = wait_state(viewer, "online")
    until(lambda: service.caught_up)
    inference = mqtt_probe("inference")
    with stopped(mariadb):
        for name in "abcde":
            inference.client.publish("pcb/verdict", encode_json(make_verdict(name)), 1)
        viewer.wait_for("pcb/event/recorder", lambda each: json.loads(each.payload)["level"] == "critical")
    wait_state(viewer, "online", seen)
    wait_recorded(viewer, *(f"verdict-{name}" for name in "abcde"), timeout=25)


def test_what_the_inbox_had_to_drop_comes_again_by_itself(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    tmp_path: Path,
    make_verdict: MakeVerdict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recorder.service.QUEUED_AT_BROKER", 10)
    start_recorder(mariadb_url).stop()
    inference = mqtt_probe("inference")
    sent = [inference.client.publish("pcb/verdict", encode_json(make_verdict(str(each))), 1) for each in range(300)]
    sent[-1].wait_for_publish(20)
    with stopped(mariadb):
        small = SpoolSettings(path=tmp_path / "spool.db", rows=25)
        service = start_recorder(mariadb_url, batch_size=10, spool=small)
        until(service._missed.is_set)
        assert not service.caught_up
    wait_recorded(viewer, *(f"verdict-{number}" for number in range(300)), timeout=30)
    assert count(database_url(mariadb_url), tables.Inspection) == 300


def test_a_flood_of_what_nobody_can_read_is_written_down_and_holds_up_no_verdict(
    start_recorder: StartRecorder, viewer: Probe, mariadb_url: str, make_verdict: MakeVerdict
) -> None:
    service = start_recorder(mariadb_url)
    wait_state(viewer, "online")
    until(lambda: service.caught_up)
    acknowledged: list[int] = []
    flood = [b'{"v": 1, "verdict_id": "bad-%d"}' % number for number in range(10_000)]
    before = time.monotonic()
    for number, payload in enumerate([*flood, encode_json(make_verdict("good"))]):
        arrival = Arrival("verdict", "pcb/verdict", payload, AT)
        service._inbox.put(Delivered(arrival, ack=partial(acknowledged.append, number)))
    wait_recorded(viewer, "bad-0", "bad-9999", "verdict-good", timeout=20)
    assert time.monotonic() - before < 15
    until(lambda: acknowledged == list(range(10_001)))
    assert count(database_url(mariadb_url), tables.RejectedMessage) == 10_000


def test_what_the_database_refuses_is_found_among_good_ones(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    make_actuation: Callable[..., Actuation],
) -> None:
    start_recorder(mariadb_url)
    wait_state(viewer, "online")
    schema = make_url(mariadb_url).database
    mariadb.execute(f"ALTER TABLE {schema}.actuations ADD CONSTRAINT pins CHECK (pin < 20)")
    actuator = mqtt_probe("actuator")
    for number in range(20):
        report = make_actuation(str(number), pin=27 if number == 13 else 17)
        actuator.client.publish("pcb/actuation", encode_json(report), 1)
    wait_recorded(viewer, *(f"verdict-{number}" for number in range(20)), kind="actuations")
    assert count(database_url(mariadb_url), tables.Actuation) == 19
    engine = make_engine(database_url(mariadb_url))
    with engine.connect() as connection:
        row = connection.execute(select(tables.RejectedMessage)).one()
    engine.dispose()
    assert (row.kind, row.reason, row.verdict_id) == ("actuation", "refused_by_database", "verdict-13")


def test_what_cannot_even_be_written_down_as_rejected_is_let_go_and_holds_up_nothing(
    start_recorder: StartRecorder, viewer: Probe, mariadb: MariaDb, mariadb_url: str, make_verdict: MakeVerdict
) -> None:
    service = start_recorder(mariadb_url)
    wait_state(viewer, "online")
    until(lambda: service.caught_up)
    schema = make_url(mariadb_url).database
    mariadb.execute(f"ALTER TABLE {schema}.rejected_messages ADD CONSTRAINT nothing CHECK (size_bytes < 0)")
    acknowledged: list[bytes] = []
    for payload in (b"nonsense", encode_json(make_verdict("good"))):
        arrival = Arrival("verdict", "pcb/verdict", payload, AT)
        service._inbox.put(Delivered(arrival, ack=partial(acknowledged.append, payload[:8])))
    wait_recorded(viewer, "verdict-good")
    until(lambda: len(acknowledged) == 2)
    assert count(database_url(mariadb_url), tables.RejectedMessage) == 0


@pytest.mark.parametrize("topic", ["pcb/trigger", "pcb/resend/trigger"])
def test_a_trigger_is_recorded_and_named(
    start_recorder: StartRecorder, viewer: Probe, mqtt_probe: OpenProbe, database: Path, topic: str
) -> None:
    start_recorder()
    wait_state(viewer, "online")
    trigger = Trigger(board_id="board-1", triggered_at=AT, source="plc")
    mqtt_probe("trigger").publish(topic, encode_json(trigger))
    named = json.loads(viewer.wait_for("pcb/recorded").payload)["triggers"]
    engine = make_engine(database_url(f"sqlite:///{database}"))
    with engine.connect() as connection:
        row = connection.execute(select(tables.Trigger)).one()
    engine.dispose()
    assert (row.board_id, row.source, [row.verdict_id]) == ("board-1", "plc", named)
