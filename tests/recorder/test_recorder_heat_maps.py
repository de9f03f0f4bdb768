"""The map that is laid over a frame: kept beside it, found with it, gone with it."""

import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sqlalchemy import Engine, select, update
from support.probe import Probe

from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Evidence, Verdict
from pcb_bus.errors import MessageRejected
from recorder.arrival import Arrival
from recorder.batch import group
from recorder.images import ImageStore
from recorder.images.wanted import WantedImages
from recorder.reading import Reader
from recorder.retention import Retention, RetentionSettings
from recorder.store import Store
from recorder.tables import DefectImage, Inspection

LATER = timedelta(days=91)
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def png(value: int = 7) -> bytes:
    return cv2.imencode(".png", np.full((60, 80), value, np.uint8))[1].tobytes()


class Desk:
    """A reader and a store over one database and one folder."""

    def __init__(self, engine: Engine, folder: Path, arrive: Callable[..., Arrival], sides: tuple[str, ...]) -> None:
        self.engine = engine
        self.folder = folder
        self._arrive = arrive
        self._sides = sides

    def take(self, *messages: Evidence | Verdict) -> None:
        """Record these, as a recorder that was just started."""
        reader = Reader(ImageStore(self.folder), self._sides, "pcb", WantedImages(self.engine))
        arrivals = [
            self._arrive("evidence", encode_msgpack(each))
            if isinstance(each, Evidence)
            else self._arrive("verdict", each)
            for each in messages
        ]
        Store(self.engine).write(group(map(reader.read, arrivals)))

    def retention(self) -> Retention:
        return Retention(self.engine, ImageStore(self.folder), RetentionSettings())

    def rows(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(DefectImage).order_by(DefectImage.verdict_id, DefectImage.kind)))

    def linked(self) -> list[str | None]:
        with self.engine.connect() as connection:
            return list(connection.scalars(select(Inspection.image_path).order_by(Inspection.verdict_id)))

    def files(self) -> set[str]:
        return {f"{path.parent.name}/{path.name}" for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def desk(engine: Engine, tmp_path: Path, arrive: Callable[..., Arrival]) -> Desk:
    return Desk(engine, tmp_path / "images", arrive, ("left", "right"))


@pytest.mark.parametrize("times", [1, 3])
def test_a_heat_map_is_one_row_and_one_file_beside_its_frame(
    desk: Desk, make_evidence: Callable[..., Evidence], make_verdict: Callable[..., Verdict], times: int
) -> None:
    evidence = make_evidence(heat_map=png())
    for _ in range(times):
        desk.take(evidence, make_verdict())
    frame, heat = desk.rows()
    assert (frame.kind, heat.kind) == ("frame", "heat")
    assert (heat.verdict_id, heat.board_id, heat.camera_id) == (frame.verdict_id, frame.board_id, frame.camera_id)
    assert (heat.width, heat.height, heat.size_bytes) == (80, 60, len(png()))
    assert (desk.folder / frame.path).read_bytes() == evidence.jpeg
    assert (desk.folder / heat.path).read_bytes() == png()
    assert desk.files() == {frame.path, heat.path}
    assert desk.linked() == [frame.path]


def test_the_picture_of_a_board_is_never_its_heat_map(
    desk: Desk, make_evidence: Callable[..., Evidence], make_verdict: Callable[..., Verdict]
) -> None:
    """Whatever order the database takes them in."""
    for number in range(8):
        desk.take(make_evidence(str(number), heat_map=png(number)), make_evidence(str(number), "right", png(99)))
    desk.take(*(make_verdict(str(number)) for number in range(8)))
    paths = desk.linked()
    assert len(set(paths)) == 8
    assert all(path is not None and path.endswith(".jpg") for path in paths)


def test_nor_where_the_frame_is_removed_and_the_heat_map_is_not_yet(
    desk: Desk, make_evidence: Callable[..., Evidence], make_verdict: Callable[..., Verdict]
) -> None:
    desk.take(make_evidence(heat_map=png()))
    with desk.engine.begin() as connection:
        connection.execute(update(DefectImage).where(DefectImage.kind == "frame").values(removed_at=NOW))
    desk.take(make_verdict())
    assert desk.linked() == [None]


def test_a_heat_map_is_kept_of_a_side_whose_frame_an_older_recorder_kept(
    desk: Desk, make_evidence: Callable[..., Evidence]
) -> None:
    desk.take(make_evidence())
    desk.take(make_evidence(heat_map=png()))
    assert desk.files() == {row.path for row in desk.rows()}
    assert [row.kind for row in desk.rows()] == ["frame", "heat"]


def test_evidence_without_a_heat_map_is_one_row(desk: Desk, make_evidence: Callable[..., Evidence]) -> None:
    desk.take(make_evidence())
    assert [row.kind for row in desk.rows()] == ["frame"]


def test_of_two_heat_maps_of_one_side_the_first_stands(desk: Desk, make_evidence: Callable[..., Evidence]) -> None:
    desk.take(make_evidence(heat_map=png(1)))
    before = desk.files()
    desk.take(make_evidence(heat_map=png(2)))
    assert len(desk.rows()) == 2
    assert desk.files() == before, "no file that no row names"


def test_old_heat_maps_go_with_their_frames(
    desk: Desk, make_evidence: Callable[..., Evidence], make_verdict: Callable[..., Verdict]
) -> None:
    evidence = make_evidence(heat_map=png())
    desk.take(evidence, make_verdict())
    kept = desk.retention()
    assert kept.total_bytes == len(evidence.jpeg) + len(png())
    kept.look(NOW + LATER)
    assert desk.files() == set()
    assert desk.linked() == [None]
    assert kept.total_bytes == 0
    desk.take(evidence)  # once more from the broker
    assert desk.files() == set()


def test_a_heat_map_that_a_row_names_is_not_swept_and_another_is(
    desk: Desk, make_evidence: Callable[..., Evidence]
) -> None:
    desk.take(make_evidence(heat_map=png(1)))
    known = desk.files()
    ImageStore(desk.folder).save(png(2), "heat")
    for path in desk.folder.rglob("*.*"):
        os.utime(path, (0, 0))
    retention = desk.retention()
    assert sum(retention.sweep_next(time.time()) for _ in range(256)) == 1
    assert desk.files() == known


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\xff\xd8\xff\xd9", "not_png"),
        (png()[:-4], "truncated_png"),
        (png()[:8], "not_png"),
        (png().replace(b"\0\0\0\x50\0\0\0\x3c", b"\0\0\0\0\0\0\0\x3c", 1), "empty_image"),
        (png().replace(b"\0\0\0\x50\0\0\0\x3c", b"\0\xff\0\x50\0\0\0\x3c", 1), "too_many_pixels"),
    ],
    ids=["jpeg", "cut", "signature alone", "no width", "huge"],
)
def test_what_is_no_heat_map_is_rejected_and_nothing_is_written(
    desk: Desk, make_evidence: Callable[..., Evidence], bad: bytes, reason: str
) -> None:
    with pytest.raises(MessageRejected) as caught:
        desk.take(make_evidence(heat_map=bad))
    assert caught.value.reason == reason
    assert desk.files() == set()


def test_a_png_is_no_frame(desk: Desk, make_evidence: Callable[..., Evidence]) -> None:
    with pytest.raises(MessageRejected, match="FF D8"):
        desk.take(make_evidence().model_copy(update={"jpeg": png()}))


def test_over_the_bus(
    start_recorder: Callable[..., Any],
    viewer: Probe,
    mqtt_probe: Callable[..., Probe],
    database: Path,
    tmp_path: Path,
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
) -> None:
    start_recorder()
    viewer.wait_for("pcb/status/recorder", lambda each: b'"online"' in each.payload)
    inference = mqtt_probe("inference")
    inference.publish("pcb/evidence/left", encode_msgpack(make_evidence(heat_map=png())))
    inference.publish("pcb/verdict", encode_json(make_verdict()))
    viewer.wait_for("pcb/recorded", lambda each: b"verdict-1" in each.payload)
    connection = sqlite3.connect(database)
    paths = dict(connection.execute("SELECT kind, path FROM defect_images").fetchall())
    connection.close()
    assert (tmp_path / "images" / paths["heat"]).read_bytes() == png()
    assert (tmp_path / "images" / paths["frame"]).read_bytes() == make_evidence().jpeg
