"""Reconciliation: what was announced, judged, done at the gates and recorded, hour by hour, and every gap between.

It only reads. Counterparts are looked up by `verdict_id` wherever in time they are: a board at the edge is no gap.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Engine, LargeBinary, Select, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from pcb_bus.contract.identity import FREE_RUN
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
    "picture not stored",
    "statistics differ",
]
_Query = Select[str, str, datetime]
_COUNTED = ("triggers", "verdicts", "reports", "rows", "gaps")
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


class Gap(NamedTuple):
    """What is missing of one board, or what differs."""

    kind: GapKind
    at: datetime
    board_id: str = ""
    verdict_id: str = ""
    detail: str = ""

    def __str__(self) -> str:
        about = (self.board_id and f"board {self.board_id}", self.verdict_id and f"verdict {self.verdict_id}")
        return f"{moment(self.at)} {self.kind}: {', '.join(filter(None, (*about, self.detail)))}"


class Reconciliation(NamedTuple):
    """The outcome. `gaps` holds as many of each kind as were asked for, `gap_counts` counts all.

    `hours` (UTC, as `2026-11-21 08`) and `total` say, each by its own time, how many passes were announced
    (`triggers`), boards recorded (`rows`), of them judged (`verdicts`), and verdicts reported (`reports`).
    """

    since: datetime
    until: datetime
    hours: Mapping[str, Mapping[str, int]]
    total: Mapping[str, int]
    gap_counts: Mapping[GapKind, int]
    gaps: list[Gap]

    def as_json(self) -> str:
        """For programs; times in RFC 3339 UTC."""
        values = {**self._asdict(), "gaps": [gap._asdict() for gap in self.gaps]}
        values["hours"] = [{"begins_at": _begins(hour), **_numbers(found)} for hour, found in self.hours.items()]
        return json.dumps(values, default=moment, ensure_ascii=False, indent=2)

    def lines(self) -> Iterator[str]:
        """For people: a table of hours, and a line for each gap."""
        yield f"{'hour (UTC)':<17}" + "".join(f"{name:>10}" for name in _COUNTED)
        for hour, numbers in (*self.hours.items(), ("all", self.total)):
            name = hour if hour == "all" else f"{hour}:00"
            yield f"{name:<17}" + "".join(f"{number:>10}" for number in _numbers(numbers).values())
        yield from (f"  {gap}" for gap in self.gaps)
        yield from (f"{number} × {kind}" for kind, number in self.gap_counts.items())
        if not self.gap_counts:
            yield "no gap"


def _numbers(found: Mapping[str, int]) -> dict[str, int]:
    return {name: found[name] for name in _COUNTED}


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
    gaps.sort(key=lambda gap: (gap.at, gap.board_id))
    total = {name: sum(numbers[name] for numbers in hours.values()) for name in _COUNTED}
    return Reconciliation(scope.since, scope.until, dict(sorted(hours.items())), total, dict(counts), gaps)


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
        queries["verdict without trigger"] = announced.where(Inspection.board_id.not_like(f"{FREE_RUN}%"))
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
    begins_at, begin = BoardStatistics.begins_at, hour_of(local_time(scope.since, scope.zone))
    end = local_time(scope.until - _MS, scope.zone)
    stored = select(begins_at).where(BoardStatistics.line == scope.line, begins_at >= begin, begins_at <= end)
    hours = {hour_of(local_time(hour + part, scope.zone)) for hour in with_rows for part in (_MS, _HOUR - _MS)}
    for hour in sorted(hours.union(connection.scalars(stored))):
        for each in differences(connection, scope.line, hour, hour + _MS) if begin <= hour <= end else ():
            numbers = [" ".join(f"{number:g}" for number in counts) for counts in (each.stored, each.counted)]
            detail = f"{hour:%Y-%m-%d %H:%M} {' '.join(each.of)}: {numbers[0]}, counted {numbers[1]}"
            yield Gap("statistics differ", hour.replace(tzinfo=scope.zone).astimezone(UTC), detail=detail)


def _missing_files(engine: Engine, scope: Scope, file_exists: Callable[[str], bool]) -> Iterator[Gap]:
    columns = (DefectImage.received_at, DefectImage.board_id, DefectImage.verdict_id, DefectImage.path, DefectImage.id)
    waits = (DefectImage.state == "pending") & (DefectImage.received_at < datetime.now(UTC) - _HOUR)
    stored = select(*columns, DefectImage.state).where(
        *_within(DefectImage.received_at, scope), (DefectImage.state == "stored") | waits
    )

    def page(after: int) -> Sequence[Any]:
        # The store may be slow: no transaction waits for it.
        with for_reading(engine).connect() as connection:
            next_ones = stored.where(DefectImage.id > after).order_by(DefectImage.id).limit(_PICTURES_AT_ONCE)
            return connection.execute(next_ones).all()

    rows = page(0)
    while rows:
        for row in rows:
            if row.state == "pending":
                yield Gap("picture not stored", *row[:4])
            elif not file_exists(row.path):
                yield Gap("picture without file", *row[:4])
        rows = page(rows[-1].id)


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
