"""What is removed, and what must stay."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from pcb_bus.contract.codec import encode_msgpack
from pcb_bus.contract.messages import Evidence
from pcb_bus.contract.times import from_datetime
from recorder.arrival import Arrival
from recorder.batch import ImageRecord, LogRecord, RejectedRecord, VerdictRecord, group
from recorder.images import ImageStore
from recorder.images.wanted import WantedImages
from recorder.images.watch import ImageWatch
from recorder.reading import Reader
from recorder.retention import Retention, RetentionSettings
from recorder.rows import image_row, inspection_row, rejected_row, side_rows
from recorder.store import Store
from recorder.tables import DefectImage, Inspection, RejectedMessage, SystemLog

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


@dataclass
class Alerts:
    """Those that are open."""

    open: set[tuple[str, str]] = field(default_factory=set)

    def raise_alert(self, kind: str, subject: str, level: str, message: str, **details: Any) -> None:
        self.open.add((kind, subject))

    def resolve(self, kind: str, subject: str) -> None:
        self.open.discard((kind, subject))


@dataclass
class Line:
    """Records with pictures, and their retention as after a restart of the recorder."""

    engine: Engine
    folder: Path
    make_verdict: Callable[..., Any]
    make_jpeg: Callable[..., bytes]
    alerts: Alerts = field(default_factory=Alerts)

    def record(self, name: str, days_ago: float, salt: bytes | None = None, images: ImageStore | None = None) -> str:
        """A board and its picture, received so long ago; the picture's path."""
        records = self.records(name, days_ago, salt, images)
        Store(self.engine).write(group(records))
        return str(records[1].row["path"])

    def record_many(self, count: int, days_ago: float) -> None:
        """So many, in one commit."""
        Store(self.engine).write(group(each for name in range(count) for each in self.records(str(name), days_ago)))

    def records(
        self, name: str, days_ago: float, salt: bytes | None = None, images: ImageStore | None = None
    ) -> tuple[VerdictRecord, ImageRecord]:
        received = from_datetime(NOW - timedelta(days=days_ago))
        jpeg = self.make_jpeg(salt or name.encode())
        verdict = self.make_verdict(name)
        evidence = Evidence(verdict_id=verdict.verdict_id, board_id=verdict.board_id, side="left", jpeg=jpeg)
        row = image_row(evidence, (images or ImageStore(self.folder)).save(jpeg), received)
        return VerdictRecord(inspection_row(verdict, received), side_rows(verdict)), ImageRecord(row)

    def retention(self, images: ImageStore | None = None, **settings: Any) -> Retention:
        live = settings.pop("live", None)
        free = settings.pop("min_free_mb", 0)
        store = images or ImageStore(self.folder)
        kept = RetentionSettings(**settings)
        return Retention(self.engine, store, kept, lambda: live, free)

    def kept(self) -> set[str]:
        return {f"{path.parent.name}/{path.name}" for path in self.folder.rglob("*") if path.is_file()}

    def paths(self) -> set[str | None]:
        with self.engine.connect() as connection:
            return set(connection.scalars(select(Inspection.image_path)))


@pytest.fixture
def line(engine: Engine, tmp_path: Path, make_verdict: Callable[..., Any], make_jpeg: Callable[..., bytes]) -> Line:
    return Line(engine, tmp_path / "images", make_verdict, make_jpeg)


def test_old_pictures_go_and_rows_stay(line: Line) -> None:
    line.record("old", 91)
    new = line.record("new", 89)
    line.retention().look(NOW)
    assert line.kept() == {new}
    assert line.paths() == {None, new}
    with line.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Inspection)) == 2
        removed = connection.execute(select(DefectImage.verdict_id, DefectImage.removed_at)).all()
    assert {(row.verdict_id, row.removed_at) for row in removed} == {("verdict-old", NOW), ("verdict-new", None)}


def test_the_live_value_holds(line: Line) -> None:
    line.record("1", 10)
    line.retention(live=9.0).look(NOW)
    assert line.kept() == set()


def test_over_the_cap_the_oldest_go(line: Line) -> None:
    line.record("a", 3)
    kept = {line.record("b", 2), line.record("c", 1)}
    size = len(line.make_jpeg(b"a"))
    retention = line.retention(max_gb=2 * size / 1e9)
    retention.look(NOW)
    assert line.kept() == kept
    assert retention.total_bytes == 2 * size


def test_a_shared_file_goes_with_its_last_row(line: Line) -> None:
    shared = line.record("old", 91, b"same")
    line.record("new", 1, b"same")
    retention = line.retention()
    retention.look(NOW)
    assert line.kept() == {shared}
    retention.look(NOW + timedelta(days=100))
    assert line.kept() == set()


def test_a_picture_saved_again_before_its_row_is_written_stays(line: Line) -> None:
    path = line.record("old", 91, b"same")
    images = ImageStore(line.folder)
    images.save(line.make_jpeg(b"same"))  # its row comes with the next commit
    line.retention(images).look(NOW)
    assert line.kept() == {path}


def test_more_than_one_chunk_goes_in_one_look(line: Line) -> None:
    line.record_many(450, 91)
    line.retention().look(NOW)
    assert line.kept() == set()


def test_a_full_disk_that_pictures_do_not_fill_keeps_most_of_them(line: Line) -> None:
    class Full(ImageStore):
        def free_bytes(self) -> int:
            return 0

    line.record_many(210, 1)
    line.retention(Full(line.folder), min_free_mb=1).look(NOW)
    assert len(line.kept()) == 10


def test_files_without_a_row_are_swept_when_they_are_a_day_old(line: Line) -> None:
    known = line.record("1", 1)
    lost = ImageStore(line.folder).save(line.make_jpeg(b"lost")).path
    temporary = (line.folder / lost).with_suffix(".1.tmp")
    temporary.write_bytes(b"half")
    retention = line.retention()
    assert sum(retention.sweep_next(time.time()) for _ in range(256)) == 0
    for path in line.folder.rglob("*.*"):
        os.utime(path, (0, 0))
    assert sum(retention.sweep_next(time.time()) for _ in range(256)) == 2
    assert line.kept() == {known}


def test_old_logs_go(line: Line) -> None:
    fields = {"level": "info", "source": "x", "message": "m", "details": {}}
    ages = {"a" * 64: 366, "b" * 64: 364}
    rows = [{"digest": d, **fields, "logged_at": NOW - timedelta(days=age)} for d, age in ages.items()]
    Store(line.engine).write(group(LogRecord(row) for row in rows))
    line.retention().remove_old_logs(NOW)
    with line.engine.connect() as connection:
        assert connection.scalars(select(SystemLog.digest)).all() == ["b" * 64]


def test_a_store_that_fails_is_an_alert_until_it_works(line: Line) -> None:
    line.folder.write_text("a file stands where the folder should be")
    images, told = ImageStore(line.folder), list[str]()
    watch = ImageWatch(images, line.alerts, lambda: told.append("works"))
    with pytest.raises(OSError, match="images"):
        images.save(line.make_jpeg())
    watch.look()
    assert line.alerts.open == {("images", "images")}
    assert not told
    line.folder.unlink()
    watch.look()  # although no picture came
    assert not line.alerts.open
    assert told == ["works"]
    assert line.kept() == set()


def test_old_rejected_messages_go(line: Line) -> None:
    ages = {"new": 29, "old": 31}
    messages = [
        RejectedRecord(rejected_row("verdict", "pcb/verdict", name.encode(), "schema", "", None, from_datetime(at)))
        for name, at in ((name, NOW - timedelta(days=age)) for name, age in ages.items())
    ]
    Store(line.engine).write(group(messages))
    line.retention().remove_old_logs(NOW)
    with line.engine.connect() as connection:
        assert connection.scalars(select(RejectedMessage.payload)).all() == [b"new"]


def test_a_shared_file_counts_once(line: Line) -> None:
    line.record("1", 1, b"same")
    retention = line.retention()
    size = len(line.make_jpeg(b"same"))
    assert retention.total_bytes == size
    line.record("2", 1, b"same")
    assert retention.total_bytes == size
    assert line.retention().total_bytes == size


def test_what_is_swept_no_longer_counts(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageStore(line.folder)
    retention = line.retention(images)
    assert retention.total_bytes == 0
    kept = line.record("1", 1, images=images)
    lost = images.save(line.make_jpeg(b"lost")).path
    size = len(line.make_jpeg(b"1"))
    assert retention.total_bytes == size + len(line.make_jpeg(b"lost"))
    for path in (kept, lost):
        os.utime(line.folder / path, (0, 0))
    monkeypatch.setattr("recorder.images.base._HELD_S", 0.0)
    for _ in range(255):  # not all shards: after the last it is summed up anew in any case
        retention.sweep_next(time.time())
    assert line.kept() == {kept}
    assert retention.total_bytes == size


def test_a_picture_that_was_removed_is_not_wanted_again(line: Line) -> None:
    kept, removed = line.record("new", 1), line.record("old", 91)
    line.retention().look(NOW)
    wanted = WantedImages(line.engine)
    assert wanted("verdict-new", "left", Path(kept).stem)
    assert not wanted("verdict-old", "left", Path(removed).stem)
    assert not wanted("verdict-new", "left", "another picture")
    assert wanted("verdict-new", "right", "the other side")
    assert wanted("verdict-next", "left", Path(removed).stem)


def test_evidence_that_comes_again_after_its_removal_leaves_no_file(
    line: Line, arrive: Callable[..., Arrival], make_evidence: Callable[..., Evidence]
) -> None:
    reader = Reader(ImageStore(line.folder), ("left",), "pcb", WantedImages(line.engine))
    arrival = arrive("evidence", encode_msgpack(make_evidence("1")))
    for _ in range(2):
        Store(line.engine).write(group([reader.read(arrival)]))
        line.retention().look(NOW + timedelta(days=91))
        assert line.kept() == set()


def test_a_picture_that_is_saved_while_it_is_removed_has_its_file(line: Line) -> None:
    """Each round two threads meet: one removes what is old, the other gets the same picture for another board."""
    for number in range(30):
        salt = f"salt {number}".encode()
        path = line.record(f"old-{number}", 91, salt)
        images, meeting = ImageStore(line.folder), threading.Barrier(2)
        retention = line.retention(images)

        def remove(meeting: threading.Barrier = meeting, retention: Retention = retention) -> None:
            meeting.wait()
            retention.look(NOW)

        remover = threading.Thread(target=remove)
        remover.start()
        meeting.wait()
        line.record(f"new-{number}", 1, salt, images)
        remover.join()
        assert path in line.kept()


def test_many_threads_save_and_remove_one_picture(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    for _ in range(100):
        store, jpeg = ImageStore(tmp_path), make_jpeg()
        path = ImageStore(tmp_path).save(jpeg).path
        with ThreadPoolExecutor(4) as pool:
            removals = [pool.submit(store.remove, path) for _ in range(2)]
            saves = [pool.submit(store.save, jpeg) for _ in range(4)]
            for each in (*removals, *saves):
                each.result()
        assert store.exists(path)
