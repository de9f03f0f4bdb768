"""Reconciliation: what was announced, judged, done at the gates and recorded, hour by hour, and every gap between.

It only reads. Counterparts are looked up by `verdict_id` wherever in time they are: a board at the edge is no gap.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Engine, LargeBinary, Select, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from recorder.rows import BOTH
from recorder.statistics import differences
from records.database import for_reading
from records.tables import Actuation, BoardStatistics, Defect, DefectImage, Inspection, InspectionSide, Trigger
from records.times import hour_of, local_time

GapKind = Literal[
    "trigger without row",
    "row without verdict",
    "row differs",
    "verdict without report",
    "verdict without trigger",
    "report without row",
    "more than one report",
    "picture without row",
    "picture without file",
    "statistics differ",
]
_Query = Select[str, str, datetime]
_FREE_RUN = "free-%"  # how inference names boards that nobody announced
_HOUR, _MS = timedelta(hours=1), timedelta(milliseconds=1)
_PICTURES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: the records of one line from `since` up to, without, `until`.

    Args:
        zone: the line's.
        sides: the line's; a board that was inspected in full has a result of each.
        gates: whether the line has an actuator, whose reports are expected.
        listed: gaps of one kind that are named; the others are counted.
        file_exists: whether a picture is in the store, by its path there; None: files are not looked at.
    """

    line: str
    zone: ZoneInfo
    since: datetime
    until: datetime
    sides: Collection[str] = ()
    gates: bool = True
    listed: int = 100
    file_exists: Callable[[str], bool] | None = None


class Hour(NamedTuple):
    """Of an hour (UTC), each by its own time: passes announced, boards with a judgement, with a report, recorded."""

    begins_at: datetime
    triggers: int
    verdicts: int
    reports: int
    rows: int
    gaps: int


class Gap(NamedTuple):
    """What is missing of one board, or what differs."""

    kind: GapKind
    at: datetime
    board_id: str = ""
    verdict_id: str = ""
    detail: str = ""

    def __str__(self) -> str:
        about = f"board {self.board_id}" if self.board_id else ""
        verdict = f"verdict {self.verdict_id}" if self.verdict_id else ""
        return ", ".join(filter(None, (f"{moment(self.at)} {self.kind}: {about}", verdict, self.detail)))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome. `gaps` holds as many of each kind as were asked for, `gap_counts` counts all."""

    since: datetime
    until: datetime
    hours: list[Hour]
    total: Hour
    gap_counts: Mapping[GapKind, int]
    gaps: list[Gap]

    def as_json(self) -> str:
        """For programs; times in RFC 3339 UTC."""
        values = {
            "since": self.since,
            "until": self.until,
            "gap_counts": self.gap_counts,
            "total": self.total._asdict(),
        }
        lists = {"hours": [hour._asdict() for hour in self.hours], "gaps": [gap._asdict() for gap in self.gaps]}
        return json.dumps(values | lists, default=moment, ensure_ascii=False, indent=2)

    def lines(self) -> Iterator[str]:
        """For people: a table of hours, and a line for each gap."""
        yield f"{'hour (UTC)':<17} {'triggers':>9} {'verdicts':>9} {'reports':>9} {'rows':>9} {'gaps':>9}"
        for hour in (*self.hours, self.total):
            name = "all" if hour is self.total else f"{hour.begins_at:%Y-%m-%d %H:%M}"
            yield f"{name:<17} " + " ".join(f"{number:>9}" for number in hour[1:])
        yield from (f"  {gap}" for gap in self.gaps)
        yield from (f"{number} × {kind}" for kind, number in self.gap_counts.items())
        if not self.gap_counts:
            yield "no gap"


def reconcile(engine: Engine, scope: Scope) -> Reconciliation:
    """Every gap of the span.

    Raises:
        SQLAlchemyError: the database does not answer.
        BoardlineError, OSError: the store of pictures does not.
    """
    counts: Counter[GapKind] = Counter()
    hours: dict[str, Counter[str]] = defaultdict(Counter)
    gaps: list[Gap] = []
    for gap in _gaps(engine, scope, hours):
        if counts[gap.kind] < scope.listed:
            gaps.append(gap)
        counts[gap.kind] += 1
        hours[f"{gap.at:%Y-%m-%d %H}"]["gaps"] += 1
    names = Hour._fields[1:]
    table = [Hour(_begins(hour), *(numbers[name] for name in names)) for hour, numbers in sorted(hours.items())]
    total = Hour(scope.since, *(sum(numbers[name] for numbers in hours.values()) for name in names))
    gaps.sort(key=lambda gap: (gap.at, gap.board_id))
    return Reconciliation(scope.since, scope.until, table, total, dict(counts), gaps)


def _gaps(engine: Engine, scope: Scope, hours: dict[str, Counter[str]]) -> Iterator[Gap]:
    """Counts the hours first."""
    # In one snapshot, for what belongs together is written in one transaction.
    with for_reading(engine).connect() as connection:
        _count(connection, scope, hours)
        with_rows = [_begins(hour) for hour, numbers in hours.items() if numbers["rows"]]
        triggers = any(numbers["triggers"] for numbers in hours.values())
        for kind, query in _queries(scope, triggers=triggers).items():
            # One after the other: there may be very many.
            for row in connection.execution_options(yield_per=1000).execute(query.order_by("at")):
                yield Gap(kind, row.at, row.board_id, row.verdict_id)
        for hour in with_rows:
            part = replace(scope, since=max(scope.since, hour), until=min(scope.until, hour + _HOUR))
            yield from _differing_rows(connection, part)
        yield from _differing_statistics(connection, scope, with_rows)
    if scope.file_exists is not None:
        yield from _missing_files(engine, scope, scope.file_exists)


def _count(connection: Connection, scope: Scope, hours: dict[str, Counter[str]]) -> None:
    judged = func.count(Inspection.judged_at)
    reports = func.count(Actuation.verdict_id.distinct())
    for names, query, at in (
        (("triggers",), select(func.count()).where(*_within(Trigger.triggered_at, scope)), Trigger.triggered_at),
        (("rows", "verdicts"), select(func.count(), judged).where(*_captured(scope)), Inspection.captured_at),
        (("reports",), select(reports).where(*_reported(scope)), Actuation.received_at),
    ):
        hour = func.substr(at, 1, 13)
        for row in connection.execute(query.add_columns(hour).group_by(hour)):
            hours[row[-1]].update(dict(zip(names, row, strict=False)))


def _queries(scope: Scope, *, triggers: bool) -> dict[GapKind, _Query]:
    """Board, verdict and time of each gap. `triggers`: boards are announced, so that those without one are gaps."""
    boards = select(Inspection.board_id, Inspection.verdict_id, Inspection.captured_at.label("at"))
    boards = boards.where(*_captured(scope))
    reports = _stamped(Actuation, Actuation.received_at)
    other = aliased(Actuation)
    earlier = _same_verdict(other, Actuation) & (other.outcome != "duplicate") & (other.id < Actuation.id)
    judged = boards.where(Inspection.judged_at.is_not(None))
    picture = DefectImage.state.in_(("pending", "stored"))
    queries: dict[GapKind, _Query] = {
        "trigger without row": select(Trigger.board_id, Trigger.verdict_id, Trigger.triggered_at.label("at"))
        .outerjoin(Inspection, _same_verdict(Inspection, Trigger))
        .where(*_within(Trigger.triggered_at, scope), Inspection.id.is_(None)),
        "row without verdict": boards.where(Inspection.judged_at.is_(None)),
        "report without row": reports.outerjoin(Inspection, _same_verdict(Inspection, Actuation)).where(
            *_within(Actuation.received_at, scope), Inspection.id.is_(None)
        ),
        "more than one report": reports.join(other, earlier).where(*_reported(scope)),
        "picture without row": _stamped(DefectImage, DefectImage.received_at)
        .outerjoin(Inspection, _same_verdict(Inspection, DefectImage))
        .where(*_within(DefectImage.received_at, scope), picture, Inspection.id.is_(None)),
    }
    if scope.gates:
        report = _same_verdict(Actuation, Inspection) & (Actuation.outcome != "duplicate")
        queries["verdict without report"] = judged.outerjoin(Actuation, report).where(Actuation.id.is_(None))
    if triggers:
        announced = judged.outerjoin(Trigger, _same_verdict(Trigger, Inspection)).where(Trigger.id.is_(None))
        queries["verdict without trigger"] = announced.where(Inspection.board_id.not_like(_FREE_RUN))
    return queries


def _differing_rows(connection: Connection, scope: Scope) -> Iterator[Gap]:
    """Rows of boards that do not fit what else is recorded of them."""
    sides: dict[int, dict[str, str]] = defaultdict(dict)
    defects: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    within = _captured(scope)
    of_sides = select(InspectionSide.inspection_id, InspectionSide.camera_id, InspectionSide.category)
    for board, side, category in connection.execute(of_sides.join(Inspection).where(*within)):
        sides[board][side] = category
    columns = (Defect.camera_id, Defect.class_name, Defect.confidence, Defect.x1, Defect.y1, Defect.x2, Defect.y2)
    for found in connection.execute(select(Defect.inspection_id, *columns).join(Inspection).where(*within)):
        defects[found[0]].append(_box(*found[1:]))
    boards = select(Inspection.id, Inspection.board_id, Inspection.verdict_id, Inspection.captured_at)
    boards = boards.add_columns(Inspection.camera_id, Inspection.category, Inspection.status, Inspection.local_date)
    boards = boards.add_columns(Inspection.inspection_time, cast(Inspection.boxes, LargeBinary).label("boxes"))
    for row in connection.execute(boards.where(*within)):
        expected = scope.sides if row.status == "ok" else ()
        for detail in _differences(row, sides[row.id], sorted(defects[row.id]), expected):
            yield Gap("row differs", row.captured_at, row.board_id, row.verdict_id, detail)


def _differences(row: Any, sides: Mapping[str, str], defects: list[Any], expected: Iterable[str]) -> Iterator[str]:
    try:
        boxes = [_box(*(box[name] for name in _BOX)) for box in json.loads(row.boxes)]
    except (ValueError, TypeError, KeyError, RecursionError):
        boxes = []
        yield "its boxes cannot be read"
    if sorted(boxes) != defects:
        yield f"it has {len(boxes)} boxes, and other rows in defects ({len(defects)})"
    missing = sorted({*expected, *(box[0] for box in boxes)} - sides.keys())
    if missing:
        yield f"no row of side {', '.join(missing)}"
    deciding = [side for side, category in sides.items() if category == row.category]
    decided = deciding[0] if len(deciding) == 1 else BOTH
    if row.camera_id != decided or (sides and not deciding and row.category != "unjudged"):
        found = ", ".join(f"{side} {category}" for side, category in sorted(sides.items()))
        yield f"it is {row.category} by {row.camera_id}, its sides say {found or 'nothing'}"
    if row.inspection_time.date() != row.local_date:
        yield f"it is of {row.inspection_time.date()}, its local_date is {row.local_date}"


_BOX = ("camera_id", "class", "confidence", "x1", "y1", "x2", "y2")


def _box(side: str, name: str, *numbers: float) -> tuple[Any, ...]:
    return side, name, *(round(number, 6) for number in numbers)


def _differing_statistics(connection: Connection, scope: Scope, with_rows: Iterable[datetime]) -> Iterator[Gap]:
    begins_at = BoardStatistics.begins_at
    first, last = hour_of(local_time(scope.since, scope.zone)), local_time(scope.until - _MS, scope.zone)
    stored = select(func.min(begins_at), func.max(begins_at)).where(
        BoardStatistics.line == scope.line, begins_at >= first, begins_at <= last
    )
    hours = [local_time(hour + part, scope.zone) for hour in with_rows for part in (timedelta(), _HOUR - _MS)]
    hours += [hour for hour in connection.execute(stored).one() if hour is not None]
    if hours:
        first, last = max(first, hour_of(min(hours))), min(last, max(hours)) + _MS
        for each in differences(connection, scope.line, first, last):
            at = each.begins_at.replace(tzinfo=scope.zone).astimezone(UTC)
            numbers = [" ".join(f"{number:g}" for number in counts) for counts in (each.stored, each.counted)]
            detail = f"{each.begins_at:%Y-%m-%d %H:%M} {' '.join(each.of)}: {numbers[0]}, counted {numbers[1]}"
            yield Gap("statistics differ", at, detail=detail)


def _missing_files(engine: Engine, scope: Scope, file_exists: Callable[[str], bool]) -> Iterator[Gap]:
    columns = (DefectImage.id, DefectImage.board_id, DefectImage.verdict_id, DefectImage.received_at, DefectImage.path)
    stored = select(*columns).where(*_within(DefectImage.received_at, scope), DefectImage.state == "stored")
    last = 0
    while True:
        # The store may be slow: no transaction waits for it.
        with for_reading(engine).connect() as connection:
            page = stored.where(DefectImage.id > last).order_by(DefectImage.id).limit(_PICTURES_AT_ONCE)
            rows = connection.execute(page).all()
        if not rows:
            return
        for row in rows:
            if not file_exists(row.path):
                yield Gap("picture without file", row.received_at, row.board_id, row.verdict_id, row.path)
        last = rows[-1].id


def _stamped(table: Any, at: InstrumentedAttribute[datetime]) -> _Query:
    """Board, verdict and earliest time, each verdict once."""
    return select(table.board_id, table.verdict_id, func.min(at).label("at")).group_by(table.board_id, table.verdict_id)


def _captured(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    # The index is on the wall time, in which an hour of autumn comes twice.
    local = [local_time(scope.since, scope.zone) - _HOUR, local_time(scope.until, scope.zone) + _HOUR]
    near = (Inspection.inspection_time >= local[0], Inspection.inspection_time < local[1])
    return *_within(Inspection.captured_at, scope), *near


def _reported(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """That a verdict came again is not its report."""
    return *_within(Actuation.received_at, scope), Actuation.outcome != "duplicate"


def _within(column: InstrumentedAttribute[datetime], scope: Scope) -> tuple[ColumnElement[bool], ...]:
    line: ColumnElement[bool] = column.class_.line == scope.line
    return line, column >= scope.since, column < scope.until


def _same_verdict(table: Any, other: Any) -> ColumnElement[bool]:
    same: ColumnElement[bool] = (table.line == other.line) & (table.verdict_id == other.verdict_id)
    return same


def _begins(hour: str) -> datetime:
    return datetime.fromisoformat(f"{hour}:00:00+00:00")


def moment(at: datetime) -> str:
    """RFC 3339 with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def next_run(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The next moment (UTC) at which clocks in `zone` show `at`; where they jump over it, the moment of the jump."""
    today = now.astimezone(zone).date()
    runs = (datetime.combine(today + timedelta(days=days), at, zone).astimezone(UTC) for days in range(-1, 3))
    return next(run for run in runs if run > now)
