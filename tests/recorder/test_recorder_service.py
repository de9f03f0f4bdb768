"""The recorder on a real broker: what it records, what it says, and what it does when something fails."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from support.mariadb import MariaDb
from support.peer import until
from support.probe import Probe
from support.recording import count, wait_recorded, wait_state

from broker import Broker
from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Actuation, Event, Evidence, Verdict
from pcb_bus.runtime.settings import BrokerSettings
from recorder.service import RecorderService
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings
from records import tables
from records.database import database_url

OpenProbe = Callable[..., Probe]
StartRecorder = Callable[..., RecorderService]
AT = 1_795_248_000_123_000_000


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Within the block another program holds the database."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_everything_of_a_board_is_recorded_and_named(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    tmp_path: Path,
    make_verdict: Callable[..., Verdict],
    make_actuation: Callable[..., Actuation],
    make_evidence: Callable[..., Evidence],
) -> None:
    start_recorder()
    wait_state(viewer, "online")
    inference, actuator = mqtt_probe("inference"), mqtt_probe("actuator")
    event = Event(level="warning", source="inference", message="late side", details={}, at=AT)
    inference.publish("pcb/event/inference", encode_json(event))
    inference.publish("pcb/evidence/left", encode_msgpack(make_evidence()))
    actuator.publish("pcb/actuation", encode_json(make_actuation()))
    inference.publish("pcb/verdict", encode_json(make_verdict()))
    wait_recorded(viewer, "verdict-1")
    wait_recorded(viewer, "verdict-1", kind="actuations")
    wait_recorded(viewer, "verdict-1/left", kind="evidence")
    url = database_url(f"sqlite:///{database}")
    kinds = (tables.Inspection, tables.InspectionSide, tables.Actuation, tables.DefectImage, tables.SystemLog)
    assert [count(url, kind) for kind in kinds] == [1, 2, 1, 1, 1]
    with sqlite3.connect(database) as connection:
        (path,) = connection.execute("SELECT image_path FROM inspections").fetchone()
    connection.close()
    assert path.startswith("/images/")
    assert (tmp_path / path.lstrip("/")).read_bytes() == make_evidence().jpeg


def test_what_goes_out_again_is_recorded_like_the_first(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    make_verdict: Callable[..., Verdict],
    make_actuation: Callable[..., Actuation],
    make_evidence: Callable[..., Evidence],
) -> None:
    start_recorder()
    wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    inference.publish("pcb/resend/verdict", encode_json(make_verdict()))
    inference.publish("pcb/resend/evidence/left", encode_msgpack(make_evidence()))
    mqtt_probe("actuator").publish("pcb/resend/actuation", encode_json(make_actuation()))
    wait_recorded(viewer, "verdict-1")
    wait_recorded(viewer, "verdict-1", kind="actuations")
    wait_recorded(viewer, "verdict-1/left", kind="evidence")


def test_a_repeat_is_named_again_and_one_row(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    make_verdict: Callable[..., Verdict],
) -> None:
    start_recorder()
    wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    for times in (1, 2):
        inference.publish("pcb/verdict", encode_json(make_verdict()))
        viewer.wait_for_count("pcb/recorded", times)
    assert count(database_url(f"sqlite:///{database}"), tables.Inspection) == 1


def test_poison_is_counted_and_gone_and_harms_nothing(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    make_verdict: Callable[..., Verdict],
    make_actuation: Callable[..., Actuation],
) -> None:
    service = start_recorder()
    wait_state(viewer, "online")
    inference, actuator = mqtt_probe("inference"), mqtt_probe("actuator")
    before = rejected()
    inference.publish("pcb/verdict", b"not JSON")
    inference.publish("pcb/evidence/left", b"\xc1")
    inference.publish("pcb/event/inference", b"[]")
    actuator.publish("pcb/actuation", encode_json(make_actuation("fine")))
    huge = encode_json(make_actuation("huge")).replace(b'"duration_ms":500', b'"duration_ms":%d' % 10**30)
    actuator.publish("pcb/actuation", huge)
    actuator.publish("pcb/actuation", encode_json(make_actuation("also-fine")))
    inference.publish("pcb/verdict", encode_json(make_verdict("fine")))
    wait_recorded(viewer, "verdict-fine")
    wait_recorded(viewer, "verdict-fine", "verdict-also-fine", kind="actuations")
    assert rejected() - before == 4
    service.stop()
    after = wait_state(viewer, "offline")
    start_recorder()
    wait_state(viewer, "online", after)
    inference.publish("pcb/verdict", encode_json(make_verdict("next")))
    wait_recorded(viewer, "verdict-next")
    assert rejected() - before == 4
    assert count(database_url(f"sqlite:///{database}"), tables.Actuation) == 2


@pytest.mark.parametrize("database_kind", ["sqlite", "mariadb"])
def test_valid_json_that_no_database_can_hold_is_rejected_and_recording_goes_on(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    request: pytest.FixtureRequest,
    database: Path,
    make_verdict: Callable[..., Verdict],
    database_kind: str,
) -> None:
    url = f"sqlite:///{database}" if database_kind == "sqlite" else request.getfixturevalue("mariadb_url")
    service = start_recorder(url)
    wait_state(viewer, "online")
    until(lambda: service.caught_up)
    inference = mqtt_probe("inference")
    fine = encode_json(make_verdict("hostile"))
    for found, put in (
        (b'"verdict_id":"verdict-hostile"', b'"verdict_id":"a\\u0000b"'),
        (b'"verdict_id":"verdict-hostile"', b'"verdict_id":" a"'),
        (b'"latency_ms":41.3', b'"latency_ms":1.5e308'),
        (b'"board_id":"board-hostile"', b'"board_id":"a\\u0000b"'),
    ):
        assert found in fine
        inference.publish("pcb/verdict", fine.replace(found, put))
    inference.publish("pcb/verdict", encode_json(make_verdict("good")))
    wait_recorded(viewer, "verdict-hostile", "verdict-good")
    assert count(database_url(url), tables.Inspection) == 1
    assert count(database_url(url), tables.RejectedMessage) == 4


def rejected() -> float:
    samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name == "boardline_messages_rejected_total")


def test_killed_before_the_commit_it_has_the_verdict_in_its_spool(
    broker: Broker,
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    tmp_path: Path,
    make_verdict: Callable[..., Verdict],
) -> None:
    process = run_recorder(broker, database, tmp_path)
    try:
        seen = wait_state(viewer, "online")
        with locked(database):
            mqtt_probe("inference").publish("pcb/verdict", encode_json(make_verdict()))
            seen = wait_state(viewer, "degraded", seen)
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        process.kill()
        process.wait()
    assert count(database_url(f"sqlite:///{database}"), tables.Inspection) == 0
    assert viewer.received("pcb/recorded") == []
    start_recorder(spool=SpoolSettings(path=tmp_path / "var" / "recorder" / "spool.db"))
    wait_recorded(viewer, "verdict-1")
    assert count(database_url(f"sqlite:///{database}"), tables.Inspection) == 1


def run_recorder(broker: Broker, database: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [
        *(sys.executable, "-m", "recorder", "--broker.host", broker.host, "--broker.port", str(broker.port)),
        *("--broker.credentials", str(broker.credentials_folder), "--database_url", f"sqlite:///{database}"),
    ]
    return subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": str(Path.cwd()), "PATH": ""})


def test_a_backlog_is_recorded_whole(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    make_verdict: Callable[..., Verdict],
) -> None:
    service = start_recorder(batch_size=10)
    wait_state(viewer, "online")
    service.stop()
    inference = mqtt_probe("inference")
    sent = [inference.client.publish("pcb/verdict", encode_json(make_verdict(str(number))), 1) for number in range(300)]
    sent[-1].wait_for_publish(20)
    start_recorder(batch_size=10)
    wait_recorded(viewer, "verdict-0", "verdict-299")
    assert count(database_url(f"sqlite:///{database}"), tables.Inspection) == 300


def test_asked_to_stop_it_does_not_wait_for_the_database(
    broker: Broker,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    tmp_path: Path,
    make_verdict: Callable[..., Verdict],
) -> None:
    process = run_recorder(broker, database, tmp_path)
    try:
        seen = wait_state(viewer, "online")
        with locked(database):
            mqtt_probe("inference").publish("pcb/verdict", encode_json(make_verdict()))
            seen = wait_state(viewer, "degraded", seen)
            process.terminate()
            wait_state(viewer, "offline", seen)
            assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
    assert viewer.received("pcb/recorded") == []


def test_stops_in_5_s_though_neither_database_nor_broker_answers(broker: Broker, viewer: Probe, tmp_path: Path) -> None:
    login = BrokerSettings(host=broker.host, port=broker.port, credentials=broker.credentials_folder)
    spool = SpoolSettings(path=tmp_path / "spool.db")
    settings = RecorderLine(broker=login, recorder=RecorderSettings(images=tmp_path, spool=spool))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service = RecorderService(settings, database_url(f"mysql://boardline@127.0.0.1:{silent.getsockname()[1]}/line"))
        service.start()
        wait_state(viewer, "online")
        with broker.frozen():
            before = time.monotonic()
            service.stop()
            assert time.monotonic() - before < 5


def test_stops_in_5_s_with_a_batch_that_the_database_does_not_answer_and_a_frozen_broker(
    broker: Broker,
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    make_verdict: Callable[..., Verdict],
) -> None:
    service = start_recorder(mariadb_url)
    wait_state(viewer, "online")
    until(lambda: service.caught_up)
    inference = mqtt_probe("inference")
    with mariadb.frozen():
        inference.publish("pcb/verdict", encode_json(make_verdict()))
        until(lambda: len(service.spool) == 1)
        with broker.frozen():
            before = time.monotonic()
            service.stop()
            assert time.monotonic() - before < 4.7  # then the process would end itself
    assert len(service.spool) == 1


def test_sqlite_locked_for_a_while(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    make_verdict: Callable[..., Verdict],
) -> None:
    start_recorder()
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    with locked(database):
        for name in "abc":
            inference.publish("pcb/verdict", encode_json(make_verdict(name)))
        seen = wait_state(viewer, "degraded", seen)
        assert viewer.received("pcb/recorded") == []
    wait_state(viewer, "online", seen)
    wait_recorded(viewer, "verdict-a", "verdict-b", "verdict-c")
    levels = [json.loads(each.payload)["level"] for each in viewer.wait_for_count("pcb/event/recorder", 2)]
    assert levels == ["error", "info"]
    assert count(database_url(f"sqlite:///{database}"), tables.Inspection) == 3


def test_mariadb_killed_for_a_while(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    make_verdict: Callable[..., Verdict],
) -> None:
    start_recorder(mariadb_url)
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    inference.publish("pcb/verdict", encode_json(make_verdict("before")))
    wait_recorded(viewer, "verdict-before")
    mariadb.kill()
    inference.publish("pcb/verdict", encode_json(make_verdict("while")))
    seen = wait_state(viewer, "degraded", seen)
    mariadb.start()
    wait_state(viewer, "online", seen)
    wait_recorded(viewer, "verdict-while")
    assert count(database_url(mariadb_url), tables.Inspection) == 2


def test_mariadb_that_starts_after_the_recorder(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    mariadb: MariaDb,
    mariadb_url: str,
    make_verdict: Callable[..., Verdict],
) -> None:
    mariadb.stop()
    start_recorder(mariadb_url)
    seen = wait_state(viewer, "degraded")
    mqtt_probe("inference").publish("pcb/verdict", encode_json(make_verdict()))
    mariadb.start()
    wait_recorded(viewer, "verdict-1", timeout=25)
    wait_state(viewer, "online", seen)


def test_a_disk_that_takes_no_pictures_costs_no_record(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    database: Path,
    tmp_path: Path,
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
) -> None:
    start_recorder()
    seen = wait_state(viewer, "online")
    (tmp_path / "images").rmdir()
    (tmp_path / "images").write_text("a file stands where the folder should be")
    inference = mqtt_probe("inference")
    for name in ("1", "2"):
        inference.publish("pcb/evidence/left", encode_msgpack(make_evidence(name)))
        inference.publish("pcb/verdict", encode_json(make_verdict(name)))
    seen = wait_state(viewer, "degraded", seen)
    wait_recorded(viewer, "verdict-1", "verdict-2")
    (tmp_path / "images").unlink()
    inference.publish("pcb/evidence/left", encode_msgpack(make_evidence("3")))
    wait_state(viewer, "online", seen)
    said = "the recorder's images "
    viewer.wait_for("pcb/event/recorder", lambda each: f"{said}works again" in each.payload.decode())
    told = [json.loads(each.payload)["message"] for each in viewer.received("pcb/event/recorder")]
    assert [each.removeprefix(said) for each in told if each.startswith(said)] == ["fails", "works again"]
    wait_recorded(viewer, *(f"verdict-{name}/left" for name in "123"), kind="evidence")
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == 3
