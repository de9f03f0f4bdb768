"""What is removed, and what must stay."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from pcb_bus.clock import from_datetime
from pcb_bus.messages import Evidence
from recorder.batch import ImageRecord, LogRecord, VerdictRecord, group
from recorder.images import ImageStore
from recorder.retention import Retention, RetentionSettings
from recorder.rows import image_row, inspection_row, side_rows
from recorder.store import Store
from recorder.tables import DefectImage, Inspection, SystemLog

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

    def record(self, name: str, days_ago: float, salt: bytes | None = None) -> str:
        """A board and its picture, received so long ago; the picture's path."""
        records = self.records(name, days_ago, salt)
        Store(self.engine).write(group(records))
        return str(records[1].row["path"])

    def record_many(self, count: int, days_ago: float) -> None:
        """So many, in one commit."""
        Store(self.engine).write(group(each for name in range(count) for each in self.records(str(name), days_ago)))

    def records(self, name: str, days_ago: float, salt: bytes | None = None) -> tuple[VerdictRecord, ImageRecord]:
        received = from_datetime(NOW - timedelta(days=days_ago))
        jpeg = self.make_jpeg(salt or name.encode())
        verdict = self.make_verdict(name)
        evidence = Evidence(verdict_id=verdict.verdict_id, board_id=verdict.board_id, side="left", jpeg=jpeg)
        row = image_row(evidence, ImageStore(self.folder).save(jpeg), received)
        return VerdictRecord(inspection_row(verdict, received), side_rows(verdict)), ImageRecord(row)

    def retention(self, images: ImageStore | None = None, **settings: Any) -> Retention:
        live = settings.pop("live", None)
        free = settings.pop("min_free_mb", 0)
        store = images or ImageStore(self.folder)
        kept = RetentionSettings(**settings)
        return Retention(self.engine, store, kept, self.alerts, lambda *_: None, lambda: live, free)

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


def test_a_store_that_fails_is_an_alert_until_it_works(line: Line, tmp_path: Path) -> None:
    line.folder.write_text("a file stands where the folder should be")
    images = ImageStore(line.folder)
    retention = line.retention(images)
    with pytest.raises(OSError, match="images"):
        images.save(line.make_jpeg())
    retention.watch()
    assert line.alerts.open == {("images", "images")}
    line.folder.unlink()
    images.save(line.make_jpeg())
    retention.watch()
    assert not line.alerts.open
