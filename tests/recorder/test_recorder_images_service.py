"""The real recorder and the disk of its pictures."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.probe import Probe, Received
from support.recording import count, wait_recorded, wait_state
from support.tmpfs import SmallDisk

from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Evidence, Verdict
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings
from recorder import tables
from recorder.database import database_url
from recorder.oversight.settings import AlertSettings
from recorder.service import RecorderService
from recorder.settings import RecorderLine, RecorderSettings

StartRecorder = Callable[..., RecorderService]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 1 MB for the pictures."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = SmallDisk(tmp_path / "images", 1)
    try:
        disk.__enter__()
    except OSError as error:
        pytest.skip(str(error))
    yield disk
    disk.__exit__(None, None, None)


def alerts(viewer: Probe, state: str) -> list[Received]:
    """Events of the alert `images`."""
    events = [(each, json.loads(each.payload)["details"]) for each in viewer.received("pcb/event/recorder")]
    return [each for each, details in events if details.get("alert") == "images" and details["state"] == state]


def test_a_full_disk_costs_pictures_and_no_record_and_is_over_with_room(
    disk: SmallDisk,
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: Callable[..., Probe],
    database: Path,
    make_verdict: Callable[..., Verdict],
    make_jpeg: Callable[..., bytes],
) -> None:
    start_recorder(alerts=AlertSettings(min_free_mb=0))
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")

    def send(name: str) -> None:
        jpeg = make_jpeg(os.urandom(60_000))
        picture = Evidence(verdict_id=f"verdict-{name}", board_id=f"board-{name}", side="left", jpeg=jpeg)
        inference.publish("pcb/evidence/left", encode_msgpack(picture))
        inference.publish("pcb/verdict", encode_json(make_verdict(name)))

    send("before")
    wait_recorded(viewer, "verdict-before")
    with disk.full():
        send("while")
        seen = wait_state(viewer, "degraded", seen)
        wait_recorded(viewer, "verdict-while")
        viewer.wait_for("pcb/event/recorder", lambda _: bool(alerts(viewer, "raised")))
        degraded = json.loads(viewer.received("pcb/status/recorder")[-1].payload)
        assert "No space left" in degraded["detail"]
    wait_state(viewer, "online", seen)  # though no picture came
    viewer.wait_for("pcb/event/recorder", lambda _: bool(alerts(viewer, "resolved")))
    send("after")
    wait_recorded(viewer, "verdict-after")
    connection = sqlite3.connect(database)
    paths = dict(connection.execute("SELECT board_id, image_path FROM inspections").fetchall())
    connection.close()
    assert paths["board-while"] is None
    assert {str(each.relative_to(disk.path)) for each in disk.path.rglob("*") if each.is_file()} == {
        paths["board-before"],
        paths["board-after"],
    }


def test_pictures_below_a_file_url(
    start_recorder: StartRecorder,
    viewer: Probe,
    mqtt_probe: Callable[..., Probe],
    database: Path,
    tmp_path: Path,
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
) -> None:
    start_recorder(images=f"file://{tmp_path}/a%20folder")
    wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    inference.publish("pcb/evidence/left", encode_msgpack(make_evidence()))
    inference.publish("pcb/verdict", encode_json(make_verdict()))
    wait_recorded(viewer, "verdict-1")
    url = database_url(f"sqlite:///{database}")
    assert count(url, tables.DefectImage) == 1
    connection = sqlite3.connect(database)
    (path,) = connection.execute("SELECT image_path FROM inspections").fetchone()
    connection.close()
    assert (tmp_path / "a folder" / path).read_bytes() == make_evidence().jpeg


def test_options_of_the_store_are_never_shown(tmp_path: Path) -> None:
    settings = RecorderSettings(images="sftp://me:hidden@storage/line", image_options={"secret": "hidden"})
    assert "hidden" not in repr(settings)
    file = tmp_path / "line.yaml"
    file.write_text("recorder: {image_options: [hidden]}")
    with pytest.raises(ConfigError, match="image_options") as caught:
        load_settings(RecorderLine, ["--config", str(file)])
    assert "hidden" not in str(caught.value)
