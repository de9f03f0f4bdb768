"""What the WinForms client, the dashboard and the recorder ask of a year of rows, and the index that must serve it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import get_args

from sqlalchemy import Connection, select, text, true

from benchmarks.history_rows import LINE
from recorder.statistics import counted
from records.figures import By, groups, places
from records.history import Key, page, story
from records.queries import Filter, boards, classes, count, days, details, hours, total
from records.reviewing import drawn_boards, reviewed, take, waiting
from records.tables import DefectImage, Trigger

COLUMNS = "id, camera_id, defect_type, confidence, inspection_time, image_path"
PAGE = 50
_PROMISED_MS = 300.0
_BY_TIME = ("ix_inspections_inspection_time", "ix_inspections_inspection_time_defect_type")
_BY_DEFECT = ("ix_inspections_defect_type_inspection_time",)
_BY_LINE = ("ix_inspections_line_inspection_time",)
_BY_DAY = ("ix_inspections_local_date_defect_type_line",)


@dataclass(frozen=True, slots=True)
class Query:
    """`run` asks it. Without `indexes` any will do, but no table may be read from end to end.

    `limit_ms`: of p95, where one is promised.
    """

    name: str
    run: Callable[[Connection], object]
    indexes: tuple[str, ...] = ()
    limit_ms: float | None = None


def queries(end: datetime, middle: tuple[datetime, int]) -> list[Query]:
    """All of them, for rows that end at `end` (local); `middle` is the time and id of the row before page 1000."""
    pages, figures = _pages(end, Key(*middle)), _figures(end)
    return [*_winforms(middle), *_winforms_counts(end), *_screens(end), *pages, *figures, *_recorder(end)]


def _winforms(middle: tuple[datetime, int]) -> Iterator[Query]:
    newest = "ORDER BY inspection_time DESC LIMIT"
    page = f"SELECT {COLUMNS} FROM inspections"
    yield _sql("WinForms: page of 50", f"{page} {newest} {PAGE} OFFSET 0", _BY_TIME)
    yield _sql("WinForms: page 1000", f"{page} {newest} {PAGE} OFFSET {999 * PAGE}", _BY_TIME)
    after = "inspection_time <= :moment AND (inspection_time < :moment OR id < :last)"
    by_key = f"{page} WHERE {after} ORDER BY inspection_time DESC, id DESC LIMIT {PAGE}"
    yield _sql("page 1000, by key", by_key, _BY_TIME, moment=middle[0], last=middle[1])
    for name, wanted in {"frequent": "정상", "rare": "미판정"}.items():
        of_type = f"{page} WHERE defect_type = :wanted {newest} {PAGE}"
        yield _sql(f"WinForms: page of a {name} type", of_type, _BY_DEFECT + _BY_TIME, wanted=wanted)
    yield _sql("WinForms: COUNT(*)", "SELECT COUNT(*) FROM inspections")


def _winforms_counts(end: datetime) -> Iterator[Query]:
    sums = (
        "SELECT COUNT(*), SUM(CASE WHEN defect_type = '정상' THEN 1 ELSE 0 END),"
        " SUM(CASE WHEN defect_type = '납땜불량' THEN 1 ELSE 0 END) FROM inspections WHERE"
    )
    by_date = "DATE(inspection_time) BETWEEN :since AND :until"
    for name, length in {"day": 1, "month": 30, "year": 365}.items():
        since, until = (end - timedelta(days=length - 1)).date(), end.date()
        span = {"since": since, "until": end}
        covering = (_BY_TIME[1], *_BY_DEFECT, *_BY_DAY)
        yield _sql(
            f"WinForms: {name}, BETWEEN times", f"{sums} inspection_time BETWEEN :since AND :until", covering, **span
        )
        yield _sql(f"WinForms: {name}, DATE() BETWEEN", f"{sums} {by_date}", since=since, until=until)
        in_days = f"{sums} local_date BETWEEN :since AND :until"
        yield _sql(f"{name}, local_date BETWEEN", in_days, covering, since=since, until=until)


def _screens(end: datetime) -> Iterator[Query]:
    week = Filter(line=LINE, since=end - timedelta(days=7), until=end)
    for name, chosen, indexes in (
        ("page of a line", Filter(line=LINE), _BY_LINE),
        ("page of a line and a week", week, _BY_LINE),
        ("page of a rare type", Filter(line=LINE, defect_type="미판정"), _BY_DEFECT),
        ("page of a camera", Filter(camera_id="left"), ("ix_inspections_camera_id_inspection_time", *_BY_TIME)),
        ("page of a product", Filter(product="display"), ("ix_inspections_product_inspection_time", *_BY_TIME)),
        ("page of a serial", Filter(board="SN-1234"), ("ix_inspections_board_id,ix_inspections_serial",)),
    ):
        yield Query(f"screen: {name}", partial(boards, chosen=chosen), indexes)
    yield Query("screen: page 1000", partial(boards, chosen=Filter(line=LINE), offset=999 * PAGE), _BY_LINE)
    yield Query("screen: count of a week", partial(count, chosen=week), _BY_LINE)
    yield Query("screen: one board", partial(details, inspection_id=1234))
    today, year = end.date(), (end - timedelta(days=364)).date()
    yield Query(
        "screen: a day by hours", partial(hours, line=LINE, since=end - timedelta(days=1), until=end), ("PRIMARY",)
    )
    yield Query("screen: counts of a day", partial(days, line=LINE, first=today, last=today), ("PRIMARY",))
    yield Query("screen: counts of a year by days", partial(days, line=LINE, first=year, last=today), ("PRIMARY",))
    yield Query("screen: defects of a day", partial(classes, line=LINE, first=today, last=today), ("PRIMARY",))


def _pages(end: datetime, middle: Key) -> Iterator[Query]:
    month = Filter(since=end - timedelta(days=30), until=end)
    for name, chosen in {
        "all": Filter(),
        "a line": Filter(LINE),
        "a frequent category": Filter(category="scrap"),
        "a rare category": Filter(category="unjudged"),
        "a line and a rare category": Filter(LINE, category="unjudged"),
        "a category and a product": Filter(category="component", product="power"),
        "a side": Filter(camera_id="left"),
        "a rare status": Filter(status="missing"),
        "an old model": Filter(model="oldest"),
        "a model": Filter(model="older"),
        "a model that is not there": Filter(model="none"),
        "a class": Filter(class_name="class-1"),
        "a rare class": Filter(class_name="rare"),
        "a class and a line": Filter(LINE, class_name="class-1"),
        "a class and a month": replace(month, class_name="class-1"),
        "a class and a category of a month": replace(month, class_name="class-1", category="scrap"),
        "a class that is not there": Filter(class_name="none"),
        "a serial": Filter(serial="SN-1236"),
        "a board": Filter(board="board-000001234"),
        "a shift": Filter(LINE, shift=(time(22), time(6))),
        "a shift of a month and a product": replace(month, line=LINE, shift=(time(22), time(6)), product="display"),
    }.items():
        yield Query(f"history: {name}", partial(page, chosen=chosen), limit_ms=_PROMISED_MS)
        if not chosen.board and not chosen.serial:
            older, newer = partial(page, chosen=chosen, older=middle), partial(page, chosen=chosen, newer=middle)
            yield Query(f"history: {name}, older than the middle", older, limit_ms=_PROMISED_MS)
            yield Query(f"history: {name}, newer than the middle", newer, limit_ms=_PROMISED_MS)
    yield Query("history: a board's story", partial(story, inspection_id=1234), limit_ms=_PROMISED_MS)


def _figures(end: datetime) -> Iterator[Query]:
    today = end.date()
    for name, length in {"month": 30, "year": 365}.items():
        since = end - timedelta(days=length)
        first = (end - timedelta(days=length - 1)).date()
        asked: dict[str, Callable[[Connection], object]] = {
            f"yield by {by}": partial(groups, line=LINE, since=since, until=end, by=by) for by in get_args(By)
        }
        asked["Pareto by class"] = partial(classes, line=LINE, first=first, last=today)
        asked["Pareto by place"] = partial(places, line=LINE, camera_id="left", since=since, until=end)
        if length == 30:
            asked["boards of the sample"] = partial(drawn_boards, line=LINE, since=since, until=end)
            asked["boards that were reviewed"] = partial(reviewed, line=LINE, since=since, until=end)
        for what, run in asked.items():
            yield Query(f"statistics: {what}, {name}", run, limit_ms=_PROMISED_MS)
    yield Query("statistics: total of a line", partial(total, line=LINE), limit_ms=_PROMISED_MS)
    now = datetime.now(UTC)
    yield Query("review: the next board", partial(take, line=LINE, user_id=1, now=now), limit_ms=_PROMISED_MS)
    yield Query("review: how many wait", partial(waiting, line=LINE), limit_ms=_PROMISED_MS)


def _recorder(end: datetime) -> Iterator[Query]:
    overdue = select(Trigger.id).where(Trigger.line == LINE, Trigger.open == true()).order_by(Trigger.received_at)
    yield Query(
        "open triggers",
        lambda connection: connection.execute(overdue.limit(500)).all(),
        ("ix_triggers_line_open_received_at",),
    )
    stored = DefectImage.line == LINE, DefectImage.state == "stored"
    by_state = ("ix_defect_images_line_state_received_at",)
    oldest = select(DefectImage.path).where(*stored).order_by(DefectImage.received_at).limit(200)
    yield Query("oldest pictures", lambda connection: connection.execute(oldest).all(), by_state)
    hour = end.replace(minute=0) - timedelta(hours=1)
    yield Query("statistics of an hour, counted", lambda connection: counted(connection, LINE, hour), _BY_LINE)


def _sql(name: str, statement: str, indexes: tuple[str, ...] = (), **values: object) -> Query:
    return Query(name, lambda connection: connection.execute(text(statement), values).all(), indexes)
