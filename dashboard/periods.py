"""The statistics of a period as a page: yields, control chart, and what the defects have in common."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from dashboard.history import NotAsked, begin_of, span_of
from dashboard.statistics import (
    Estimate,
    Point,
    control_chart,
    corrected_yield,
    pareto,
    rates,
    raw_yield,
    strata,
    wilson,
    word_of,
)
from dashboard.texts import Language, text
from dashboard.web import Desk, language_of
from records.database import for_reading
from records.figures import By, Group, groups, places
from records.queries import Count, classes, days, hours
from records.reviewing import drawn_boards, reviewed
from records.times import local_day

WIDTH, HEIGHT = 1000, 240
"""Of the control chart, in its own units."""
_MOST_DAYS = 366
_WEEK = timedelta(days=6)
_BY_HOUR_DAYS = 7  # a longer period has a point for each day
_BY: tuple[By, ...] = ("product", "model")


class Share(NamedTuple):
    """Boards that have something in common, and how many of them were good at first."""

    name: str
    boards: int
    good: int
    rate: Estimate


class Chart(NamedTuple):
    """A control chart as an SVG draws it; heights grow downwards from `top`, the share at the upper edge."""

    points: list[tuple[float, float, Point]]
    line: str
    low: str
    high: str
    centre: float
    centre_y: float
    top: float


def shares(counts: Iterable[tuple[str, str, int]]) -> list[Share]:
    """Of (name, category, boards), in order of the names' first appearance."""
    boards: dict[str, Counter[str]] = defaultdict(Counter)
    for name, category, number in counts:
        boards[name][category] += number
    return [
        Share(name, found.total(), found["normal"], wilson(found["normal"], found.total()))
        for name, found in boards.items()
        if found.total()
    ]


def chart(counts: Sequence[Count]) -> Chart | None:
    """Of the share of boards that were called, hour by hour or day by day; None: there were no boards."""
    of_bin: dict[datetime, Counter[str]] = defaultdict(Counter)
    for each in counts:
        of_bin[each.begins_at][word_of(each.category)] += each.boards
    centre, points = control_chart((begin, found.total(), found["called"]) for begin, found in sorted(of_bin.items()))
    if centre is None:
        return None
    top = min(max(max(max(each.share, each.high) for each in points) * 1.1, 0.01), 1.0)
    x = [WIDTH * (number + 0.5) / len(points) for number in range(len(points))]

    def y(share: float) -> float:
        return HEIGHT * (1 - share / top)

    def along(values: Iterable[float]) -> str:
        return " ".join(f"{at:.1f},{y(value):.1f}" for at, value in zip(x, values, strict=True))

    shown = [(at, y(each.share), each) for at, each in zip(x, points, strict=True)]
    line, low, high = (along(getattr(each, name) for each in points) for name in ("share", "low", "high"))
    return Chart(shown, line, low, high, centre, y(centre), top)


def by_hour(counts: Iterable[Count]) -> list[Share]:
    """By the hour of the day, of all days together."""
    ordered = sorted(counts, key=lambda each: each.begins_at.hour)
    return shares((f"{each.begins_at:%H}:00", each.category, each.boards) for each in ordered)


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router = APIRouter()

    @router.get("/statistics")
    def statistics(request: Request) -> Response:
        language = language_of(request)
        today = local_day(desk.now(), desk.settings.recorder.zone)
        since, until = (request.query_params.get(name, "").strip() for name in ("since", "until"))
        try:
            first, last = _period(since, until, today, language)
        except NotAsked as wrong:
            asked = {"since": since, "until": until}
            return desk.render(request, "statistics.html", 400, asked=asked, error=str(wrong), found=None)
        with for_reading(desk.engine).connect() as connection:
            found = _read(connection, desk.settings.root, desk.settings.sides, first, last)
        asked = {"since": first.isoformat(), "until": last.isoformat()}
        return desk.render(request, "statistics.html", asked=asked, error="", found=found, w=WIDTH, h=HEIGHT)

    return router


def _period(since: str, until: str, today: date, language: Language) -> tuple[date, date]:
    """The days that were asked for; else the last seven.

    Raises:
        NotAsked: there are no such days, or too many.
    """
    first, last = span_of(since, until, language)
    last = last or (min(first + _WEEK, today) if first and first <= today else first or today)
    first = first or last - _WEEK
    if (last - first).days >= _MOST_DAYS:
        raise NotAsked(text("statistics_too_long", language).format(n=_MOST_DAYS))
    return first, last


def _read(connection: Connection, line: str, sides: Sequence[str], first: date, last: date) -> dict[str, Any]:
    """What the page shows."""
    since, until = begin_of(first), begin_of(last) + timedelta(days=1)
    hourly = hours(connection, line, since, until)
    boards: Counter[str] = Counter()
    for each in hourly:
        boards[each.category] += each.boards
    boxes: Counter[str] = Counter()
    for found in classes(connection, line, first, last):
        boxes[found.class_name] += found.boxes
    looked = reviewed(connection, line, since, until)
    parts = strata(looked, drawn_boards(connection, line, since, until), boards)
    is_short = (last - first).days < _BY_HOUR_DAYS
    return {
        "boards": boards,
        "total": boards.total(),
        "raw": wilson(boards["normal"], boards.total())._replace(value=raw_yield(boards)),
        "corrected": corrected_yield(parts),
        "rates": rates(parts),
        "looked": len(looked),
        "chart": chart(hourly if is_short else days(connection, line, first, last)),
        "is_short": is_short,
        "pareto": pareto(boxes),
        "sides": pareto(_not_good(groups(connection, line, since, until, "side"))),
        "hours": by_hour(hourly),
        "groups": {by: shares(groups(connection, line, since, until, by)) for by in _BY},
        "places": {side: places(connection, line, side, since, until) for side in sides},
    }


def _not_good(found: Iterable[Group]) -> Counter[str]:
    """By the side that decided: a yield of a side there is none, because on good boards no single side decides."""
    counts: Counter[str] = Counter()
    for each in found:
        counts[each.name] += each.boards if each.category != "normal" else 0
    return counts
