"""Reconciliation: a record set without a gap has none, and what is removed or spoiled by hand is named."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Engine, Row, delete, event, insert, text, update
from sqlalchemy.orm import DeclarativeBase
from support.boards import AT, LINE, MINUTE, ZONE, trigger_record, verdict_record

from pcb_bus.contract.messages import Actuation as Report
from pcb_bus.contract.messages import Outcome
from pcb_bus.contract.times import from_datetime, to_datetime
from recorder.reconcile import Reconciliation, Scope, next_run, reconcile
from recorder.rows import Record, actuation_record
from recorder.settings import OversightSettings
from recorder.statistics import Statistics, touch_hours
from recorder.store import Store
from records.tables import (
    Actuation,
    BoardStatistics,
    Defect,
    DefectImage,
    DefectStatistics,
    Inspection,
    InspectionSide,
    Trigger,
)

BOARDS = range(1, 9)
OTHER = "pcb/line2"
BERLIN = ZoneInfo("Europe/Berlin")
HALF_A_DAY = timedelta(hours=12)
DAY = Scope(LINE, ZONE, to_datetime(AT) - HALF_A_DAY, to_datetime(AT) + HALF_A_DAY, ("left", "right"))


def report_record(number: int, at: int = AT, outcome: Outcome = "fired", line: str = LINE) -> Record:
    fields = {"verdict_id": f"verdict-{number}", "board_id": f"board-{number}", "category": "solder"}
    gate: dict[str, Any] = {"pin": 27, "fired_at": at, "duration_ms": 500, "latency_ms": 1.5}
    return actuation_record(Report(**fields, **gate, outcome=outcome), line, at)


def picture_record(number: int, at: int = AT, line: str = LINE) -> Record:
    row = {"line": line, "verdict_id": f"verdict-{number}", "board_id": f"board-{number}", "camera_id": "left"}
    size = {"sha256": "a" * 64, "width": 640, "height": 480, "size_bytes": 9}
    state = {"kind": "frame", "state": "stored", "path": f"{line}/{number}.jpg", "received_at": to_datetime(at)}
    return Record(DefectImage, [row | size | state])


def passes(numbers: Iterable[int], line: str = LINE, *, announced: bool = True) -> list[Record]:
    """Boards 20 minutes apart, with all that belongs to each."""
    records: list[Record] = []
    for number in numbers:
        at = AT + 20 * number * MINUTE
        records += [verdict_record(number, at=at, line=line)]
        records += [report_record(number, at, line=line), picture_record(number, at, line)]
        records += [trigger_record(number, at, line)] if announced else []
    return records


def write(engine: Engine, *records: Record, line: str = LINE) -> None:
    Store(engine, line, ZONE).write(records)
    Statistics(engine, line).count_touched()


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    write(engine, *passes(BOARDS))
    return engine


def check(engine: Engine, scope: Scope = DAY, **changes: Any) -> Reconciliation:
    return reconcile(engine, replace(scope, **changes))


def found(result: Reconciliation) -> list[tuple[str, str]]:
    """Kind and board of what is listed, without the statistics."""
    return sorted((gap.kind, gap.board_id) for gap in result.gaps if gap.kind != "statistics differ")


def details(result: Reconciliation) -> list[str]:
    return [gap.detail for gap in result.gaps]


def remove(engine: Engine, table: type[DeclarativeBase], number: int) -> None:
    with engine.begin() as connection:
        verdict_id = table.__table__.c.verdict_id
        assert connection.execute(delete(table).where(verdict_id == f"verdict-{number}")).rowcount == 1


def spoil(engine: Engine, statement: Any) -> None:
    with engine.begin() as connection:
        assert connection.execute(statement).rowcount == 1


def inspection_of(engine: Engine, number: int) -> int:
    with engine.connect() as connection:
        where = {"verdict": f"verdict-{number}"}
        return int(connection.scalar(text("SELECT id FROM inspections WHERE verdict_id = :verdict"), where))


def test_a_whole_record_has_no_gap_and_each_board_counts_in_its_hour(recorded: Engine) -> None:
    result = check(recorded)
    assert result.gaps == []
    each = {
        hour: {"triggers": n, "verdicts": n, "reports": n, "rows": n} for hour, n in (("08", 2), ("09", 3), ("10", 3))
    }
    assert result.hours == {f"2026-11-21 {hour}": numbers for hour, numbers in each.items()}
    assert list(result.lines())[-2:] == [f"{'all':<17}" + f"{8:>10}" * 4 + f"{0:>10}", "no gap"]


@pytest.mark.parametrize(
    ("table", "gaps"),
    [
        (Inspection, ["picture without row", "report without row", "trigger without row"]),
        (Actuation, ["verdict without report"]),
        (Trigger, ["verdict without trigger"]),
    ],
)
def test_a_row_that_is_removed_names_its_board(recorded: Engine, table: type[DeclarativeBase], gaps: list[str]) -> None:
    remove(recorded, table, 5)
    result = check(recorded)
    assert found(result) == [(kind, "board-5") for kind in gaps]
    assert all("board-5" in line for line in result.lines() if line.startswith("  ") and "statistics" not in line)


def test_a_removed_row_no_longer_fits_the_statistics(recorded: Engine) -> None:
    remove(recorded, Inspection, 5)
    assert "2026-11-21 18:00 solder: 3 0 124.5 41.5, counted 2 0 83 41.5" in details(check(recorded))


@pytest.mark.parametrize(
    ("table", "change"),
    [(BoardStatistics, {"boards": 9}), (BoardStatistics, {"latency_ms_max": 0}), (DefectStatistics, {"boxes": 0})],
)
def test_a_statistic_that_is_spoiled_is_told(recorded: Engine, table: Any, change: dict[str, int]) -> None:
    hour = table.begins_at == datetime(2026, 11, 21, 18)  # noqa: DTZ001
    spoil(
        recorded, update(table).where(hour, *([table.class_name == "spur"] if "boxes" in change else [])).values(change)
    )
    (gap,) = check(recorded).gaps
    assert (gap.kind, gap.detail[:16]) == ("statistics differ", "2026-11-21 18:00")


def test_statistics_of_an_hour_without_rows_are_told(recorded: Engine) -> None:
    hour = datetime(2026, 11, 21, 12)  # noqa: DTZ001
    row = {"line": LINE, "begins_at": hour, "category": "normal", "boards": 7, "incomplete": 0}
    spoil(recorded, insert(BoardStatistics).values(**row, latency_ms_sum=1, latency_ms_max=1))
    assert details(check(recorded)) == ["2026-11-21 12:00 normal: 7 0 1 1, counted 0 0 0 0"]


def test_an_hour_that_is_still_to_be_counted_is_no_gap(recorded: Engine) -> None:
    Store(recorded, LINE, ZONE).write(passes([50]))
    assert check(recorded).gaps == []


def test_hours_that_are_marked_are_counted_anew(recorded: Engine) -> None:
    spoil(recorded, update(BoardStatistics).where(BoardStatistics.boards == 2).values(boards=9))
    assert len(check(recorded).gaps) == 1
    assert touch_hours(recorded, LINE, datetime(2026, 11, 21), datetime(2026, 11, 22)) == 3  # noqa: DTZ001
    Statistics(recorded, LINE).count_touched()
    assert check(recorded).gaps == []


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (Defect, {"x2": 31}, "it has 3 boxes, and other rows in defects (3)"),
        (Defect, {"class_name": "open"}, "it has 3 boxes, and other rows in defects (3)"),
        (Defect, None, "it has 3 boxes, and other rows in defects (2)"),
        (InspectionSide, {"category": "normal"}, "it is solder by left, its sides say left normal, right normal"),
        (InspectionSide, None, "no row of side left"),
        (Inspection, {"category": "normal"}, "it is normal by left, its sides say left solder, right normal"),
        (Inspection, {"camera_id": "right"}, "it is solder by right, its sides say left solder, right normal"),
        (Inspection, {"boxes": []}, "it has 0 boxes, and other rows in defects (3)"),
        (Inspection, {"boxes": 7}, "its boxes cannot be read"),
        (Inspection, {"local_date": "2026-11-20"}, "it is of 2026-11-21, its local_date is 2026-11-20"),
    ],
)
def test_a_row_that_is_spoiled_by_hand_is_told(
    recorded: Engine, table: Any, change: dict[str, Any] | None, said: str
) -> None:
    board = inspection_of(recorded, 5)
    where = table.id == board if table is Inspection else table.inspection_id == board
    if table is not Inspection:
        with recorded.connect() as connection:
            first = connection.execute(text(f"SELECT min(id) FROM {table.__tablename__} WHERE inspection_id = {board}"))
            where = table.id == first.scalar()
    if change and "local_date" in change:
        change = {"local_date": datetime(2026, 11, 20).date()}  # noqa: DTZ001
    spoil(recorded, delete(table).where(where) if change is None else update(table).where(where).values(**change))
    result = check(recorded)
    assert ("row differs", "board-5") in found(result)
    assert said in details(result)


def test_a_side_without_a_box_is_missed_too(recorded: Engine) -> None:
    board = InspectionSide.inspection_id == inspection_of(recorded, 5)
    spoil(recorded, delete(InspectionSide).where(board, InspectionSide.camera_id == "right"))
    assert details(check(recorded)) == ["no row of side right"]


def test_a_board_without_a_verdict_is_a_gap_but_needs_no_report(recorded: Engine) -> None:
    write(recorded, trigger_record(99))
    assert found(check(recorded)) == [("trigger without row", "board-99")]
    Store(recorded, LINE, ZONE).close_overdue(AT + 2 * MINUTE, MINUTE)
    result = check(recorded)
    assert found(result) == [("row without verdict", "board-99")]
    assert (result.total["triggers"], result.total["rows"], result.total["verdicts"]) == (9, 9, 8)


def test_reports_that_contradict_each_other_are_a_gap_and_repeats_are_none(recorded: Engine) -> None:
    write(recorded, report_record(3, outcome="duplicate"), report_record(4, outcome="late"))
    assert found(check(recorded)) == [("more than one report", "board-4")]


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_is_a_report_but_that_a_verdict_came_again(engine: Engine, outcome: Outcome) -> None:
    write(engine, verdict_record(1), report_record(1, outcome=outcome), trigger_record(1))
    assert found(check(engine)) == ([("verdict without report", "board-1")] if outcome == "duplicate" else [])


def test_in_free_run_no_triggers_are_expected(engine: Engine) -> None:
    write(engine, *passes(BOARDS, announced=False))
    result = check(engine)
    assert result.gaps == []
    assert (result.total["triggers"], result.total["rows"], result.total["reports"]) == (0, 8, 8)


def test_a_board_in_free_run_beside_announced_ones_needs_no_trigger(recorded: Engine) -> None:
    write(recorded, verdict_record(50, board_id="free-frame-1", verdict_id="verdict-50"), report_record(50))
    assert check(recorded).gaps == []


def test_a_line_without_gates_needs_no_reports(recorded: Engine) -> None:
    remove(recorded, Actuation, 5)
    assert check(recorded, gates=False).gaps == []


def test_a_report_of_a_board_that_nobody_knows_counts_and_is_a_gap(recorded: Engine) -> None:
    write(recorded, report_record(70))
    result = check(recorded)
    assert found(result) == [("report without row", "board-70")]
    assert (result.total["reports"], result.total["rows"]) == (9, 8)


def test_what_lies_just_beyond_the_edge_of_the_span_is_no_gap(engine: Engine) -> None:
    # Announced in one span, captured and reported in the next.
    write(engine, trigger_record(1), verdict_record(1, at=AT + 50 * 10**6), report_record(1, AT + MINUTE))
    cut = to_datetime(AT + 10 * 10**6)
    for change in ({"until": cut}, {"since": cut}):
        assert check(engine, **change).gaps == []


def test_a_line_sees_neither_the_gaps_nor_the_counterparts_of_another(recorded: Engine) -> None:
    write(recorded, *passes(range(1, 4), OTHER), line=OTHER)
    remove(recorded, Trigger, 5)
    with recorded.begin() as connection:
        connection.execute(delete(Actuation).where(Actuation.line == OTHER))
        connection.execute(update(BoardStatistics).where(BoardStatistics.line == OTHER).values(boards=99))
    assert found(check(recorded)) == [("verdict without trigger", "board-5")]
    result = check(recorded, line=OTHER)
    assert result.gap_counts == {"verdict without report": 3, "statistics differ": 2}
    assert (result.total["rows"], result.total["triggers"], result.total["reports"]) == (3, 3, 0)


def test_a_picture_whose_file_is_gone(recorded: Engine) -> None:
    write(recorded, picture_record(5, line=OTHER), line=OTHER)
    assert check(recorded, file_exists=lambda path: path.startswith("pcb/")).gaps == []
    result = check(recorded, file_exists=lambda path: path != "pcb/5.jpg")
    assert found(result) == [("picture without file", "board-5")]
    spoil(recorded, update(DefectImage).where(DefectImage.path == "pcb/5.jpg").values(state="removed"))
    assert check(recorded, file_exists=lambda path: path != "pcb/5.jpg").gaps == []


def test_a_picture_that_has_waited_for_more_than_an_hour(engine: Engine) -> None:
    now = datetime.now(UTC)
    for minutes in (61, 59):
        write(engine, picture_record(minutes, from_datetime(now - timedelta(minutes=minutes))))
        spoil(engine, update(DefectImage).where(DefectImage.state == "stored").values(state="pending"))
    result = check(engine, since=now - HALF_A_DAY, until=now, file_exists=lambda _: True)
    assert [gap for gap in found(result) if gap[0] == "picture not stored"] == [("picture not stored", "board-61")]


def test_the_list_is_bounded_and_the_count_is_not(engine: Engine) -> None:
    write(engine, *(trigger_record(number, AT + number * MINUTE) for number in range(150)))
    result = check(engine, listed=20)
    assert result.gap_counts["trigger without row"] == 150
    assert [gap.board_id for gap in result.gaps] == [f"board-{number}" for number in range(20)]
    assert sum(hour["gaps"] for hour in result.hours.values()) == result.total["gaps"] == 150
    assert list(result.lines())[-1] == "150 × trigger without row"


def test_nothing_is_recorded(engine: Engine) -> None:
    result = check(engine)
    assert (result.gaps, result.hours) == ([], {})


def test_an_hour_that_comes_twice_in_autumn(engine: Engine) -> None:
    begin = datetime(2026, 10, 25, tzinfo=UTC)
    ats = [AT + round((begin - to_datetime(AT)).total_seconds()) * 10**9 + 30 * number * MINUTE for number in range(6)]
    records = [verdict_record(number, at=at, zone=BERLIN) for number, at in enumerate(ats)]
    Store(engine, LINE, BERLIN).write([*records, *(report_record(number, at) for number, at in enumerate(ats))])
    Statistics(engine, LINE).count_touched()
    first = check(engine, zone=BERLIN, since=begin, until=begin + timedelta(hours=1))
    assert (first.gaps, first.total["rows"]) == ([], 2)
    whole = check(engine, zone=BERLIN, since=begin, until=begin + timedelta(hours=3))
    assert (whole.gaps, whole.total["rows"]) == ([], 6)


def test_only_the_span_is_read_however_long_the_history_is(engine: Engine) -> None:
    Store(engine, LINE, ZONE).write(passes(range(1500)))
    if engine.dialect.name != "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE TABLE triggers, inspections, actuations, defect_images").all()
    statements: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    hour = to_datetime(AT) + timedelta(days=7)
    result = check(engine, since=hour, until=hour + timedelta(hours=1), file_exists=lambda path: True)
    assert result.total["rows"] == 3
    asked = [statement for statement in statements if statement[0].startswith("SELECT")]
    assert len(asked) > 15
    for statement, parameters in asked:
        assert not any(map(reads_a_whole_table, plan(engine, statement, parameters))), statement


def plan(engine: Engine, statement: str, parameters: Any) -> Sequence[Row[Any]]:
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN FORMAT=TRADITIONAL "
    with engine.connect() as connection:
        return connection.exec_driver_sql(explain + statement, parameters).all()


def reads_a_whole_table(step: Row[Any]) -> bool:
    if "detail" in step._fields:
        return bool(re.match(r"SCAN (triggers|inspections|actuations|defect_images)", step.detail))
    return step.type in {"ALL", "index"} and step.table in {"triggers", "inspections", "actuations", "defect_images"}


def test_what_programs_read(recorded: Engine) -> None:
    remove(recorded, Actuation, 7)
    outcome = json.loads(check(recorded).as_json())
    assert outcome["gap_counts"] == {"verdict without report": 1}
    assert outcome["gaps"][0]["board_id"] == "board-7"
    assert outcome["total"]["rows"] == 8
    assert outcome["hours"][0]["begins_at"] == "2026-11-21T08:00:00.000Z"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "zone", "expected"),
    [
        ("2026-11-21T02:59:59+09:00", ZONE, "2026-11-21T03:00:00+09:00"),
        ("2026-11-21T03:00:00+09:00", ZONE, "2026-11-22T03:00:00+09:00"),
        ("2026-11-21T23:30:00Z", ZONE, "2026-11-22T18:00:00Z"),
        ("2026-10-25T01:30:00+02:00", BERLIN, "2026-10-25T03:00:00+01:00"),
    ],
)
def test_the_night_is_that_of_the_line(now: str, zone: ZoneInfo, expected: str) -> None:
    assert next_run(at(now), time(3), zone) == at(expected)


@given(st.integers(0, 5_000_000), st.times(), st.sampled_from([ZONE, BERLIN]))
def test_there_is_one_night_a_day(minutes: int, wanted: time, zone: ZoneInfo) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    first = next_run(now, wanted, zone)
    assert timedelta() < first - now <= timedelta(hours=26)
    assert timedelta(hours=22) <= next_run(first, wanted, zone) - first <= timedelta(hours=26)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("03:00", time(3)), (1410, time(23, 30)), (90, time(1, 30)), ("none", "none"), (None, "none")],
)
def test_the_time_of_the_night_as_yaml_gives_it(written: object, meant: object) -> None:
    assert OversightSettings.model_validate({"reconcile_at": written}).reconcile_at == meant


@pytest.mark.parametrize("wrong", ["25:00", "03:00Z", "night", 1440, True])
def test_a_time_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        OversightSettings.model_validate({"reconcile_at": wrong})
