"""Reconciliation: a record set without a gap has none, and one with a row removed names that board."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import URL, Engine, Row, delete, event, update
from sqlalchemy.orm import DeclarativeBase
from support.boards import AT, MINUTE, trigger_record, verdict_record

from pcb_bus.contract.messages import Outcome
from pcb_bus.contract.times import to_datetime
from pcb_bus.errors import ConfigError
from recorder.__main__ import main
from recorder.batch import ActuationRecord, ImageRecord, Record, group
from recorder.database import bring_up_to_date, make_engine
from recorder.errors import DatabaseDown
from recorder.periods import Calendar
from recorder.reconcile.command import span_of
from recorder.reconcile.findings import Reconciliation, Span
from recorder.reconcile.run import Scope, lines, reconcile
from recorder.reconcile.statistics import StatisticsCheck
from recorder.store import Store
from recorder.tables import Actuation, BoardStatistics, DefectImage, Inspection, Trigger

BOARDS = range(1, 9)
DAY = Span(to_datetime(AT) - timedelta(hours=12), to_datetime(AT) + timedelta(hours=12))


def report_record(number: int, at: int = AT, outcome: str = "fired") -> ActuationRecord:
    fields = {"verdict_id": f"verdict-{number}", "board_id": f"board-{number}", "category": "solder"}
    gate = {"pin": 27, "fired_at": to_datetime(at), "duration_ms": 500, "latency_ms": 1.5}
    return ActuationRecord({**fields, **gate, "outcome": outcome, "received_at": to_datetime(at)})


def picture_record(number: int, at: int = AT) -> ImageRecord:
    fields = {"verdict_id": f"verdict-{number}", "board_id": f"board-{number}", "camera_id": "left"}
    size = {"sha256": "a" * 64, "width": 640, "height": 480, "size_bytes": 9}
    return ImageRecord({**fields, **size, "kind": "frame", "path": f"{number}.jpg", "received_at": to_datetime(at)})


def passes(numbers: Iterable[int], *, announced: bool = True) -> list[Record]:
    """Boards 20 minutes apart, with all that belongs to each."""
    records: list[Record] = []
    for number in numbers:
        at = AT + 20 * number * MINUTE
        records += [verdict_record(number, at=at), report_record(number, at), picture_record(number, at)]
        records += [trigger_record(number, at)] if announced else []
    return records


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    Store(engine).write(group(passes(BOARDS)))
    return engine


def check(engine: Engine, span: Span = DAY, **changes: Any) -> Reconciliation:
    chosen = {"statistics": StatisticsCheck(Calendar())} | changes
    return reconcile(engine, span, Scope(**chosen))


def found(result: Reconciliation) -> list[tuple[str, str]]:
    """Kind and board of what is listed, without the statistics."""
    return sorted((gap.kind, gap.board_id) for gap in result.gaps if gap.kind != "statistics differ")


def remove(engine: Engine, table: type[DeclarativeBase], number: int) -> None:
    with engine.begin() as connection:
        verdict_id = table.__table__.c.verdict_id
        assert connection.execute(delete(table).where(verdict_id == f"verdict-{number}")).rowcount == 1


def test_a_whole_record_has_no_gap_and_each_board_counts_in_its_hour(recorded: Engine) -> None:
    result = check(recorded)
    assert not result.has_gaps
    hours = [(f"{hour.begins_at:%H}", hour.triggers, hour.verdicts, hour.reports, hour.rows) for hour in result.hours]
    assert hours == [("08", 2, 2, 2, 2), ("09", 3, 3, 3, 3), ("10", 3, 3, 3, 3)]
    assert list(lines(result))[-1] == "no gap"


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
    assert all("board-5" in line for line in lines(result) if line.startswith("  ") and "statistics" not in line)


def test_a_removed_row_no_longer_fits_the_statistics(recorded: Engine) -> None:
    remove(recorded, Inspection, 5)
    details = [gap.detail for gap in check(recorded).gaps if gap.kind == "statistics differ"]
    assert "hour solder: boards 3, counted 2; latency_ms_sum 124.5, counted 83" in details


def test_statistics_that_are_wrong_are_told(recorded: Engine) -> None:
    with recorded.begin() as connection:
        connection.execute(update(BoardStatistics).where(BoardStatistics.period == "day").values(boards=9))
    (gap,) = check(recorded).gaps
    assert (gap.kind, gap.detail) == ("statistics differ", "day solder: boards 9, counted 8")
    assert not check(recorded, statistics=None).has_gaps


def test_a_board_without_a_verdict_is_a_gap_but_needs_no_report(engine: Engine) -> None:
    store = Store(engine)
    store.write(group(passes(BOARDS)))
    store.write(group([trigger_record(99)]))
    assert found(check(engine)) == [("trigger without row", "board-99")]
    store.close_overdue(AT + 2 * MINUTE, MINUTE)
    result = check(engine)
    assert found(result) == [("row without verdict", "board-99")]
    assert (result.total.triggers, result.total.rows, result.total.verdicts) == (9, 9, 8)


def test_reports_that_contradict_each_other_are_a_gap_and_repeats_are_none(recorded: Engine) -> None:
    Store(recorded).write(group([report_record(3, outcome="duplicate"), report_record(4, outcome="late")]))
    assert found(check(recorded)) == [("more than one report", "board-4")]


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_is_a_report_but_that_a_verdict_came_again(engine: Engine, outcome: Outcome) -> None:
    Store(engine).write(group([verdict_record(1), report_record(1, outcome=outcome), trigger_record(1)]))
    assert found(check(engine)) == ([("verdict without report", "board-1")] if outcome == "duplicate" else [])


def test_in_free_run_no_triggers_are_expected(engine: Engine) -> None:
    Store(engine).write(group(passes(BOARDS, announced=False)))
    result = check(engine)
    assert not result.has_gaps
    assert (result.total.triggers, result.total.rows, result.total.reports) == (0, 8, 8)


def test_a_board_in_free_run_beside_announced_ones_needs_no_trigger(recorded: Engine) -> None:
    free = verdict_record(50, board_id="free-frame-1", verdict_id="verdict-50")
    Store(recorded).write(group([free, report_record(50)]))
    assert not check(recorded).has_gaps


def test_a_line_without_gates_needs_no_reports(recorded: Engine) -> None:
    remove(recorded, Actuation, 5)
    assert not check(recorded, gates=False).has_gaps


def test_a_report_of_a_board_that_nobody_knows_counts_and_is_a_gap(recorded: Engine) -> None:
    Store(recorded).write(group([report_record(70)]))
    result = check(recorded)
    assert found(result) == [("report without row", "board-70")]
    assert (result.total.reports, result.total.rows) == (9, 8)


def test_what_lies_just_beyond_the_edge_of_the_span_is_no_gap(engine: Engine) -> None:
    # Announced in one span, captured and reported in the next.
    Store(engine).write(group([trigger_record(1), verdict_record(1, at=AT + 50), report_record(1, AT + MINUTE)]))
    cut = to_datetime(AT + 10)
    for span in (Span(DAY.since, cut), Span(cut, DAY.until)):
        assert not check(engine, span, statistics=None).has_gaps


def test_a_picture_whose_file_is_gone(recorded: Engine) -> None:
    assert not check(recorded, file_exists=lambda path: True).has_gaps
    result = check(recorded, file_exists=lambda path: path != "5.jpg")
    assert found(result) == [("picture without file", "board-5")]
    with recorded.begin() as connection:
        connection.execute(update(DefectImage).where(DefectImage.path == "5.jpg").values(removed_at=DAY.until))
    assert not check(recorded, file_exists=lambda path: path != "5.jpg").has_gaps


def test_the_list_is_bounded_and_the_count_is_not(engine: Engine) -> None:
    Store(engine).write(group(trigger_record(number, AT + number * MINUTE) for number in range(150)))
    result = check(engine, listed=20)
    assert result.gap_counts["trigger without row"] == 150
    assert [gap.board_id for gap in result.gaps] == [f"board-{number}" for number in range(20)]
    assert sum(hour.gaps for hour in result.hours) == 150
    assert list(lines(result))[-1] == "150 × trigger without row"


def test_nothing_is_recorded(engine: Engine) -> None:
    result = check(engine)
    assert (result.has_gaps, result.hours) == (False, ())


def test_only_the_span_is_read_however_long_the_history_is(engine: Engine) -> None:
    Store(engine).write(group(passes(range(1500))))
    if engine.dialect.name != "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE TABLE triggers, inspections, actuations, defect_images").all()
    statements: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    hour = Span(to_datetime(AT) + timedelta(days=7), to_datetime(AT) + timedelta(days=7, hours=1))
    assert check(engine, hour, statistics=None, file_exists=lambda path: True).total.rows == 3
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


def test_a_database_without_tables_is_down(url: URL) -> None:
    engine = make_engine(url)
    with pytest.raises(DatabaseDown):
        check(engine)
    engine.dispose()


SEOUL = ZoneInfo("Asia/Seoul")
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ("2026-11-20T07:59:00+00:00", "2026-11-21T07:59:00+00:00")),
        ("2026-11-21", None, ("2026-11-20T15:00:00+00:00", "2026-11-21T07:59:00+00:00")),
        ("2026-11-20T08:00:00Z", "2026-11-21T09:00", ("2026-11-20T08:00:00+00:00", "2026-11-21T00:00:00+00:00")),
    ],
)
def test_the_span_that_is_asked_for(since: str | None, until: str | None, expected: tuple[str, str]) -> None:
    span = span_of(since, until, NOW, SEOUL)
    assert (span.since.isoformat(), span.until.isoformat()) == expected


@pytest.mark.parametrize(("since", "until"), [("yesterday", None), (None, "2026-13-01"), ("2026-11-22", None)])
def test_a_span_that_is_none(since: str | None, until: str | None) -> None:
    with pytest.raises(ConfigError, match=r"^--"):
        span_of(since, until, NOW, SEOUL)


Run = Callable[..., int]


@pytest.fixture
def run(url: URL) -> Run:
    """The command, on a database of boards 1 to 8."""
    bring_up_to_date(url)
    engine = make_engine(url)
    Store(engine).write(group(passes(BOARDS)))
    engine.dispose()
    span = ("--since", DAY.since.isoformat(), "--until", DAY.until.isoformat())
    return lambda *words: main(
        ["reconcile", *span, *words, "--database_url", url.render_as_string(hide_password=False)]
    )


def test_the_command_says_what_it_found(run: Run, url: URL, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out.endswith("no gap\n")
    engine = make_engine(url)
    remove(engine, Actuation, 7)
    engine.dispose()
    assert run("--json", str(tmp_path / "out.json")) == 1
    assert "verdict without report: board board-7, verdict verdict-7\n" in capsys.readouterr().out
    outcome = json.loads((tmp_path / "out.json").read_text())
    assert outcome["gaps"][0]["board_id"] == "board-7"
    assert outcome["total"]["rows"] == 8


def test_the_command_counts_the_statistics_anew(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--recorder.time_zone", "Asia/Seoul") == 1
    assert "statistics differ" in capsys.readouterr().out
    assert run("--recorder.time_zone", "Asia/Seoul", "--rebuild") == 0


def test_the_command_looks_for_files(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in BOARDS:
        (images / f"{number}.jpg").write_bytes(b"")
    assert run("--files", "--recorder.images", str(images)) == 0
    (images / "2.jpg").unlink()
    assert run("--files", "--recorder.images", str(images)) == 1
    assert "picture without file: board board-2" in capsys.readouterr().out


def test_exit_codes_of_what_cannot_be_checked(
    tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconcile", "--database_url", f"sqlite:///{tmp_path / 'none.db'}"]) == 2
    assert main(["reconcile", "--since", "soon"]) == 2
    assert main(["reconcile", "--list", "few"]) == 2
    assert main(["reconcile", "--database_url", f"mysql://line:secret@127.0.0.1:{free_port}/boardline"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 4
    assert "secret" not in said
