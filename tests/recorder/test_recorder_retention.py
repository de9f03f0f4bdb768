"""What is removed, and what must stay."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select
from support.boards import LINE, ZONE, count

from pcb_bus.contract.messages import Event, Evidence
from pcb_bus.contract.times import from_datetime
from recorder import rows
from recorder.alerts import Alerts
from recorder.retention import Retention
from recorder.settings import AlertSettings, RecorderSettings, RetentionSettings
from records.picture_store import Folder
from records.tables import (
    Actuation,
    Alert,
    AuditEntry,
    Defect,
    DefectImage,
    Inspection,
    InspectionSide,
    LineState,
    RejectedMessage,
    Review,
    ReviewSample,
    Serial,
    Session,
    SystemLog,
    Trigger,
    User,
)

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Disk(Folder):
    """A folder with `free` bytes besides its files, of which some cannot be deleted."""

    free: float = 1e12
    stuck: Collection[str] = ()

    def free_bytes(self) -> int:
        return round(self.free) - sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def delete(self, path: str) -> None:
        if path in self.stuck:
            raise OSError("not permitted")
        super().delete(path)


class Line:
    """Records with pictures, and their retention as after a restart of the recorder."""

    def __init__(self, engine: Engine, folder: Path, make_verdict: Any, make_evidence: Any, line: str = LINE) -> None:
        self.engine, self.folder, self.line = engine, folder, line
        self.disk = Disk(folder)
        self._make_verdict, self._make_evidence = make_verdict, make_evidence
        self.alerts = Alerts(engine, line, lambda *_, **__: None)
        self.ticks = 1000.0
        self.restart()

    def restart(self, **settings: Any) -> Retention:
        live, free = settings.pop("live", None), settings.pop("min_free_mb", 0)
        chosen = RecorderSettings(
            retention=RetentionSettings(**settings), alerts=AlertSettings(min_free_mb=free), image_url="/images"
        )
        self.retention = Retention(self.engine, self.line, self.disk, chosen, self.alerts, lambda: live)
        return self.retention

    def look(self, now: datetime = NOW, after_s: float = 30) -> None:
        """At `now` by the clock of the wall, `after_s` later by the one that nobody sets."""
        self.ticks += after_s
        self.retention.look(now, self.ticks)

    def record(self, name: str, days_ago: float, heat_map: bytes | None = None) -> str:
        """A board and its picture, received so long ago; the picture's path."""
        return self.record_many([name], days_ago, heat_map)[0]

    def record_many(self, names: list[str], days_ago: float, heat_map: bytes | None = None) -> list[str]:
        received = from_datetime(NOW - timedelta(days=days_ago))
        boards, pictures = list[Any](), list[Any]()
        for name in names:
            verdict = self._make_verdict(name, captured_at=received)
            evidence: Evidence = self._make_evidence(name, heat_map=heat_map)
            boards += rows.verdict_record(verdict, self.line, ZONE, received).rows
            pictures += rows.evidence_record(evidence, self.line, ZONE, received).rows
            for row in pictures[-2 if heat_map else -1 :]:
                row["state"] = "stored"
                self.put(row["path"], evidence.jpeg)
        for board in boards:
            own = (row["path"] for row in pictures if row["verdict_id"] == board["verdict_id"])
            board["image_path"] = f"/images/{next(own)}"
        self.insert(Inspection, boards)
        self.insert(DefectImage, pictures)
        return [row["path"] for row in pictures]

    def put(self, path: str, data: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def insert(self, table: Any, values: list[Any]) -> None:
        with self.engine.begin() as connection:
            connection.execute(insert(table), values)

    def saw(self, at: datetime, keep_until: datetime | None = None) -> None:
        """The recorder was running then."""
        self.insert(LineState, [{"line": self.line, "seen_at": at, "keep_until": keep_until}])

    def kept(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def states(self) -> dict[str, int]:
        with self.engine.connect() as connection:
            states = select(DefectImage.state, func.count()).where(DefectImage.line == self.line)
            return {row[0]: row[1] for row in connection.execute(states.group_by(DefectImage.state))}

    def linked(self) -> set[str | None]:
        with self.engine.connect() as connection:
            return set(connection.scalars(select(Inspection.image_path).where(Inspection.line == self.line)))


@pytest.fixture
def line(engine: Engine, tmp_path: Path, make_verdict: Any, make_evidence: Any) -> Line:
    return Line(engine, tmp_path / "images", make_verdict, make_evidence)


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_old_pictures_go_with_their_heat_maps_and_boards_stay(line: Line) -> None:
    line.record("old", 91, heat_map=_png())
    new = line.record("new", 6)
    line.look()
    assert line.kept() == {new}
    assert line.linked() == {None, f"/images/{new}"}
    assert line.states() == {"removed": 2, "stored": 1}
    with line.engine.connect() as connection:
        removed = select(DefectImage.removed_at).where(DefectImage.state == "removed").distinct()
        assert connection.scalars(removed).all() == [NOW]
    assert count(line.engine, Inspection) == 2


def test_the_live_value_holds(line: Line) -> None:
    line.record("1", 3)
    line.restart(live=2.0)
    line.look()
    assert line.kept() == set()


def test_over_the_cap_the_oldest_go(line: Line) -> None:
    line.record("a", 4)
    kept = {line.record("b", 3), line.record("c", 2)}
    size = sum(path.stat().st_size for path in line.folder.rglob("*.jpg"))
    line.restart(max_gb=0.8 * size / 1e9)
    for _ in range(3):
        line.look()
    assert line.kept() == kept


@pytest.mark.parametrize("too_much", [{"min_free_mb": 1}, {"max_gb": 1e-6}, {"days": 0.01}])
def test_no_picture_of_the_last_day_goes_whatever_is_too_much(line: Line, too_much: dict[str, float]) -> None:
    """With too little room on the disk 300 fresh pictures were marked removed at once."""
    line.disk.free = 0
    old = line.record("old", 1.1)
    fresh = line.record_many(names(300), 0.9)
    line.restart(**too_much)
    line.look()
    assert line.kept() == set(fresh)
    assert line.states() == {"stored": 300, "removed": 1}
    assert old not in line.kept()


def test_more_than_one_chunk_goes_in_one_look(line: Line) -> None:
    line.saw(NOW)
    line.record_many(names(450), 91)
    line.look()
    assert line.kept() == set()


def test_so_many_go_in_an_hour_or_twice_as_many_as_came(line: Line) -> None:
    line.saw(NOW)
    line.record_many(names(40), 91)
    line.restart(pictures_an_hour=10)
    line.look()
    line.look()
    assert len(line.kept()) == 30
    line.look(NOW + HOUR, after_s=3600)
    assert len(line.kept()) == 20
    line.record_many([f"new-{name}" for name in names(8)], -2.5 / 24)  # received half an hour before the next look
    line.look(NOW + 3 * HOUR, after_s=7200)
    assert len(line.kept()) == 20 - 16 + 8


def test_a_full_disk_that_pictures_do_not_fill_keeps_most_of_them(line: Line) -> None:
    line.disk.free_bytes = lambda: 0  # type: ignore[method-assign]
    line.record_many(names(450), 2)
    line.restart(min_free_mb=1)
    for _ in range(10):
        line.look()
    assert len(line.kept()) == 250


def test_room_is_made_on_a_full_disk_and_no_more_than_that(line: Line) -> None:
    paths = line.record_many([str(number) for number in range(10, 30)], 2)
    size = sum((line.folder / path).stat().st_size for path in paths)
    line.disk.free = 1e6 + size / 2
    line.restart(min_free_mb=1)
    line.look()
    assert len(line.kept()) == 10


@pytest.mark.parametrize("jump", [timedelta(days=91), timedelta(days=-400)], ids=["ahead", "back"])
def test_a_clock_that_is_set_removes_nothing_by_age_for_a_day(line: Line, jump: timedelta) -> None:
    line.record_many(names(10), 2)
    line.record("old", 89.9)
    line.look()
    at = NOW + jump
    for hours in range(24):  # also after a restart
        line.look(at + hours * HOUR, after_s=3600 if hours else 30)
        if hours == 12:
            line.restart()
    assert len(line.kept()) == 11
    assert [alert.kind for alert in line.alerts.open()] == ["clock"]


def test_a_clock_that_stays_ahead_is_believed_after_a_day_of_running(line: Line) -> None:
    line.record_many(names(10), 2)
    line.look()
    for hours in range(25):
        line.look(NOW + timedelta(days=91, hours=hours), after_s=3600 if hours else 30)
    assert line.kept() == set()
    assert line.alerts.open() == []


@pytest.mark.parametrize("away", [timedelta(days=91), timedelta(days=8), timedelta(hours=-2)])
def test_a_start_long_after_the_last_one_or_before_it_removes_nothing_by_age(line: Line, away: timedelta) -> None:
    line.saw(NOW - away)
    line.record_many(names(10), 91)
    line.look()
    assert len(line.kept()) == 10


@pytest.mark.parametrize("away", [timedelta(days=6), timedelta(0)])
def test_a_holiday_is_no_doubt(line: Line, away: timedelta) -> None:
    line.saw(NOW - away)
    line.record_many(names(10), 91)
    line.look()
    assert line.kept() == set()


def test_a_database_of_the_version_before_is_doubted_by_its_newest_picture(line: Line) -> None:
    line.record_many(names(10), 91)
    line.look()
    assert len(line.kept()) == 10
    assert [alert.kind for alert in line.alerts.open()] == ["clock"]


def test_a_machine_that_sleeps_at_night_removes_what_is_too_old(line: Line) -> None:
    """Its monotonic clock stands still meanwhile."""
    line.look()
    line.record("old", 89.5)
    line.look(NOW + timedelta(hours=14))
    assert line.kept() == set()


def test_a_machine_that_is_off_at_night_believes_its_clock_again_after_holidays(line: Line) -> None:
    line.saw(NOW - 8 * DAY)
    line.record("old", 91)
    for day, left in enumerate((1, 0)):
        line.restart()
        for hours in range(10):
            line.look(NOW + day * DAY + hours * HOUR, after_s=3600)
        assert len(line.kept()) == left


def test_a_clock_that_is_set_right_is_believed_at_once(line: Line) -> None:
    line.look()
    line.look(NOW - 2000 * DAY)
    line.record("old", 91)
    assert [alert.kind for alert in line.alerts.open()] == ["clock"]
    line.restart()
    line.look(NOW - 2000 * DAY + HOUR, after_s=3600)
    line.look(NOW + HOUR)
    assert (line.kept(), line.alerts.open()) == (set(), [])


@pytest.mark.parametrize("away", [timedelta(0), 3 * DAY])
def test_a_clock_that_is_wrong_once_more_or_starts_while_in_doubt_is_not_believed(line: Line, away: timedelta) -> None:
    line.look()
    line.look(NOW + 91 * DAY)
    line.record("old", 2)
    line.restart()
    line.look(NOW + 91 * DAY + away)
    line.look(NOW + 91 * DAY + away + 5 * HOUR, after_s=5 * 3600)
    line.look(NOW + 400 * DAY)
    line.look(NOW + 401 * DAY - HOUR, after_s=23 * 3600)
    assert len(line.kept()) == 1


def test_what_a_clock_far_ahead_made_of_keep_until_ends_after_a_day(line: Line) -> None:
    line.saw(NOW, keep_until=NOW + timedelta(days=3650))
    line.record_many(names(10), 91)
    for hours in range(26):
        line.look(NOW + hours * HOUR, after_s=3600)
    assert line.kept() == set()


def test_fresh_pictures_stay_on_a_full_disk_by_a_clock_that_is_ahead(line: Line) -> None:
    line.record_many(names(10), 0.1)
    old = line.record("old", 2)
    line.restart(min_free_mb=1)
    line.look()
    line.disk.free = 0
    line.look(NOW + timedelta(days=91))
    assert old not in line.kept()
    assert len(line.kept()) == 10


def test_clocks_that_drift_or_an_hour_that_is_put_back_are_no_doubt(line: Line) -> None:
    line.saw(NOW)
    line.look()
    line.look(NOW - timedelta(minutes=59))
    line.record("old", 91)
    line.look(NOW)
    assert line.kept() == set()


def test_a_row_says_removed_only_when_its_file_is_gone(line: Line) -> None:
    line.saw(NOW)
    line.disk.stuck = line.record_many(names(5), 91)
    line.look()
    assert (line.states(), line.linked(), len(line.kept())) == ({"removing": 5}, {None}, 5)
    line.disk.stuck = ()
    line.restart()  # as after a crash
    line.look()
    assert (line.states(), line.kept()) == ({"removed": 5}, set())


def test_a_file_that_cannot_be_deleted_holds_up_no_other_and_an_alert_says_so(line: Line) -> None:
    line.saw(NOW)
    stuck = line.record("stuck", 92)
    line.record_many(names(250), 91)
    line.disk.stuck = [stuck]
    for _ in range(2):
        line.look()
        assert (line.states(), line.kept()) == ({"removing": 1, "removed": 250}, {stuck})
    (alert,) = line.alerts.open()
    assert (alert.kind, stuck in alert.message) == ("retention", True)
    line.disk.stuck = ()
    line.look()
    assert (line.states(), line.alerts.open()) == ({"removed": 251}, [])


def test_no_more_is_marked_while_the_store_is_away(line: Line) -> None:
    line.saw(NOW)
    line.disk.stuck = line.record_many(names(250), 91)
    for _ in range(3):
        line.look()
    assert line.states() == {"removing": 200, "stored": 50}


def test_a_file_that_the_version_before_shared_goes_with_its_last_row(line: Line) -> None:
    line.saw(NOW)
    old, new = line.record_many(["old"], 91)[0], line.record_many(["new"], 1)[0]
    with line.engine.begin() as connection:
        connection.execute(DefectImage.__table__.update().values(sha256="a" * 64, path="aa/shared.jpg"))  # type: ignore[attr-defined]
    for path in (old, new):
        line.disk.delete(path)
    line.put("aa/shared.jpg", b"shared")
    line.look()
    assert (line.kept(), line.states()) == ({"aa/shared.jpg"}, {"removed": 1, "stored": 1})
    for days in range(1, 92):
        line.look(NOW + days * DAY, after_s=86_400)
    assert (line.kept(), line.states()) == (set(), {"removed": 2})


def test_two_lines_with_one_store_and_one_database_keep_their_own(
    line: Line, make_verdict: Any, make_evidence: Any, make_actuation: Any
) -> None:
    other = Line(line.engine, line.folder, make_verdict, make_evidence, "pcb/line2")
    theirs = other.record_many(names(30), 91)
    fill_rows(other, make_actuation, make_verdict, 1830)
    kinds = (Inspection, Actuation, Trigger, SystemLog, RejectedMessage, Alert, DefectImage)
    before = [count(line.engine, kind) for kind in kinds]
    line.saw(NOW)
    old, kept = line.record("old", 91), line.record("new", 2)
    line.restart(max_gb=1e-7)  # room for the one that is left, not for theirs
    for _ in range(3):
        line.look()
        line.retention.prune(NOW, line.ticks)
    assert line.kept() == {kept, *theirs}
    assert old not in line.kept()
    assert other.states() == {"stored": 30}
    assert [count(line.engine, kind) for kind in kinds] == [before[0] + 2, *before[1:6], before[6] + 2]


def fill_rows(line: Line, make_actuation: Any, make_verdict: Any, days_ago: float) -> None:
    """One of each kind, that old."""
    at = NOW - timedelta(days=days_ago)
    ns, name = from_datetime(at), str(days_ago)
    verdict = rows.verdict_record(make_verdict(name, captured_at=ns), line.line, ZONE, ns)
    line.insert(Inspection, [*verdict.rows])
    with line.engine.connect() as connection:
        inspection = connection.scalar(select(Inspection.id).where(Inspection.verdict_id == f"verdict-{name}"))
    line.insert(InspectionSide, [{"inspection_id": inspection, **side} for side in verdict.sides])
    line.insert(Defect, [{"inspection_id": inspection, **defect} for defect in verdict.defects])
    line.insert(Actuation, [*rows.actuation_record(make_actuation(name), line.line, ns).rows])
    event = Event(level="info", source="x", message=name, details={}, at=ns)
    line.insert(SystemLog, [*rows.event_record(event, line.line, name.encode()).rows])
    base = {"line": line.line, "verdict_id": f"verdict-{name}", "board_id": "b", "received_at": at}
    line.insert(Trigger, [{**base, "source": "x", "triggered_at": at, "open": False}])
    line.insert(Serial, [{**base, "camera_id": "left", "serial": name, "symbology": "qr"}])
    rejected = {"digest": name.rjust(64), "kind": "verdict", "topic": "t", "reason": "schema", "detail": ""}
    line.insert(RejectedMessage, [{**base, **rejected, "payload": b"", "size_bytes": 0}])
    alert = {"line": line.line, "kind": "x", "subject": name, "level": "info", "message": "", "details": {}}
    line.insert(Alert, [{**alert, "raised_at": at, "resolved_at": at}, {**alert, "raised_at": at, "resolved_at": None}])


def test_old_rows_go_each_kind_after_its_time_but_not_by_a_doubtful_clock(
    line: Line, make_actuation: Any, make_verdict: Any
) -> None:
    for days_ago in (1, 31, 366, 1830):
        fill_rows(line, make_actuation, make_verdict, days_ago)
    line.record("pictured", 1830)
    line.saw(NOW - 91 * DAY)
    line.look()
    line.retention.prune(NOW, line.ticks)
    boards = (Inspection, InspectionSide, Defect, Actuation, Trigger, Serial)
    assert [count(line.engine, table) for table in boards] == [5, 8, 4, 4, 4, 4]
    for hours in range(26):
        line.look(NOW + hours * HOUR, after_s=3600)
    line.retention.prune(NOW + 25 * HOUR, line.ticks)
    assert [count(line.engine, table) for table in boards] == [3, 6, 3, 3, 3, 3]
    others = (SystemLog, RejectedMessage, Alert, DefectImage)
    assert [count(line.engine, table) for table in others] == [2, 1, 2 + 4, 0]


def test_what_people_decided_goes_with_its_board(line: Line) -> None:
    """And not before, nor that of another line; however long after the board it was decided."""
    line.saw(NOW)
    for name, days_ago in (("old", 1826), ("new", 1824)):
        line.record(name, days_ago)
    for root in (LINE, "pcb/line2"):
        for name in ("old", "new"):
            board = {"line": root, "verdict_id": f"verdict-{name}"}
            line.insert(Review, [{**board, "decision": "confirmed", "decided_at": NOW}])
            drawn = {"inspection_time": NOW.replace(tzinfo=None), "reason": "random", "weight": 1.0, "queued_at": NOW}
            drawn["category"] = "normal"
            line.insert(ReviewSample, [board | drawn])
    line.retention.prune(NOW, line.ticks)
    for table in (Review, ReviewSample):
        with line.engine.connect() as connection:
            left = connection.execute(select(table.line, table.verdict_id).order_by(table.line, table.verdict_id)).all()
        expected = [(LINE, "verdict-new"), ("pcb/line2", "verdict-new"), ("pcb/line2", "verdict-old")]
        assert list(map(tuple, left)) == expected


def test_the_audit_and_sessions_go_after_their_own_times(line: Line) -> None:
    line.saw(NOW)
    person = {"id": 1, "username": "kim", "password_hash": "", "role": "admin", "active": True, "created_at": NOW}
    line.insert(User, [person])
    for root in (None, LINE, "pcb/line2"):
        for days_ago in (1826, 1824):
            change = {"line": root, "at": NOW - days_ago * DAY, "username": "kim", "action": "login", "subject": "kim"}
            line.insert(AuditEntry, [change])
    for name, hours in (("over", -25), ("just over", -23), ("lasts", 1)):
        login = {"token_sha256": name, "user_id": 1, "created_at": NOW, "seen_at": NOW, "kiosk": False}
        line.insert(Session, [{**login, "expires_at": NOW + hours * HOUR}])
    line.retention.prune(NOW, line.ticks)
    with line.engine.connect() as connection:
        roots = connection.scalars(select(AuditEntry.line).order_by(AuditEntry.id)).all()
        sessions = set(connection.scalars(select(Session.token_sha256)))
    assert roots == [None, LINE, "pcb/line2", "pcb/line2"]
    assert sessions == {"just over", "lasts"}


def test_rows_stay_when_the_clock_jumps_just_before_they_are_looked_at(line: Line) -> None:
    line.record("1", 1)
    line.look()
    line.retention.prune(NOW + 1826 * DAY, line.ticks + 30)
    assert count(line.engine, Inspection) == 1


def test_a_board_whose_camera_had_no_clock_stays(line: Line, make_verdict: Any) -> None:
    """What was captured in 1970 was recorded today."""
    now = from_datetime(NOW)
    line.insert(Inspection, [*rows.verdict_record(make_verdict(captured_at=0), LINE, ZONE, now).rows])
    trigger = {"verdict_id": "v", "board_id": "b", "source": "x", "triggered_at": datetime(1970, 1, 1, tzinfo=UTC)}
    line.insert(Trigger, [{**trigger, "line": LINE, "received_at": NOW, "open": True}])
    line.look()
    line.retention.prune(NOW, line.ticks)
    assert (count(line.engine, Inspection), count(line.engine, Trigger)) == (1, 1)


def _png() -> bytes:
    size = (60).to_bytes(4) * 2
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + size + b"\0\0\0\0IEND\xaeB`\x82"
