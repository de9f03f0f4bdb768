"""Boards from page to page, by what a person asks for, and the story of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dashboard import evidence
from dashboard.review import calls_of
from dashboard.settings import Shift
from dashboard.texts import Language, text
from dashboard.web import Desk, language_of
from records.database import for_reading
from records.history import Key, Story, page, story
from records.queries import Filter, history
from records.reviewing import standing
from records.times import local_time

CATEGORIES = "normal", "component", "solder", "scrap", "unjudged"
STATUSES = "ok", "incomplete"
FIELDS = "since", "until", "shift", "category", "class_name", "side", "product", "board", "serial", "status", "model"
MOST = 200_000
"""Boards of one file; as many defects."""
_BOARDS = 50  # on a page
_PASSES = 20  # of one serial, that a story shows
_LONGEST = 128
_STEPS = "triggered", "captured", "judged", "gated"

_Id = Annotated[int, Path(ge=1, le=2**62)]


class NotAsked(ValueError):
    """What was asked for makes no sense; the message is for the page, in its language."""


def day_of(written: str, language: Language) -> date | None:
    """A day as an address has it; None: it is empty.

    Raises:
        NotAsked: there is no such day.
    """
    if not written:
        return None
    try:
        day = date.fromisoformat(written)
    except ValueError:
        day = date.min
    if not 1970 <= day.year < 9999:
        raise NotAsked(text("history_no_day", language).format(day=written[:20]))
    return day


def span_of(since: str, until: str, language: Language) -> tuple[date | None, date | None]:
    """The first and the last day.

    Raises:
        NotAsked: one is no day, or the last comes before the first.
    """
    first, last = day_of(since, language), day_of(until, language)
    if first and last and last < first:
        raise NotAsked(text("history_backwards", language))
    return first, last


def begin_of(day: date) -> datetime:
    """Midnight on the line's wall clock."""
    return datetime.combine(day, time())


def chosen_by(asked: Mapping[str, str], line: str, shifts: Sequence[Shift], language: Language) -> Filter:
    """The boards that an address asks for.

    Raises:
        NotAsked: a day, a shift or a name can never be.
    """
    given = {name: asked.get(name, "").strip() for name in FIELDS}
    if any(len(value) > _LONGEST or not value.isprintable() for value in given.values()):
        raise NotAsked(text("history_too_long", language))
    first, last = span_of(given["since"], given["until"], language)
    known = {name: given[name] or None for name in FIELDS if name not in ("since", "until", "shift", "side")}
    return Filter(
        line=line,
        since=begin_of(first) if first else None,
        until=begin_of(last) + timedelta(days=1) if last else None,
        shift=_shift(given["shift"], shifts, language),
        camera_id=given["side"] or None,
        **known,
    )


def _shift(written: str, shifts: Sequence[Shift], language: Language) -> tuple[time, time] | None:
    """From its beginning to that of the next one; the only shift of a line is all day."""
    if not written:
        return None
    begins = sorted(each.begins for each in shifts)
    numbers = {f"{each:%H:%M}": number for number, each in enumerate(begins)}
    if written not in numbers:
        raise NotAsked(text("history_no_shift", language).format(shift=written[:20]))
    number = numbers[written]
    return (begins[number], begins[(number + 1) % len(begins)]) if len(begins) > 1 else None


def _key(written: str, language: Language) -> Key | None:
    try:
        return Key.parse(written) if written else None
    except ValueError:
        raise NotAsked(text("history_no_page", language)) from None


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a board, in ms from the first; the bar begins where what it waited for ended."""

    kind: str
    camera_id: str | None
    begins: float
    ends: float


def steps_of(found: Story) -> list[Step]:
    """Trigger, captures, verdict, gate, in this order; what nobody knows the time of is left out."""
    moments = [each for kind in _STEPS for each in found.moments if each.kind == kind and not _is_late(each.row)]
    if not moments:
        return []
    origin = min(each.at for each in moments)
    return list(
        _steps([(each.kind, each.camera_id, (each.at - origin) / timedelta(milliseconds=1)) for each in moments])
    )


def _is_late(row: Any) -> bool:
    """A gate that never fired has the time of its report alone, which says nothing about the board's."""
    return hasattr(row, "fired_at") and row.fired_at is None


def _steps(moments: Sequence[tuple[str, str | None, float]]) -> Iterator[Step]:
    for kind, camera_id, at in moments:
        before = [ms for other, _, ms in moments if _STEPS.index(other) < _STEPS.index(kind) and ms <= at]
        yield Step(kind, camera_id, max(before, default=min(at, 0.0)), at)


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router = APIRouter()

    @router.get("/history")
    def boards(request: Request) -> Response:
        return _boards(desk, request)

    @router.get("/history/{inspection_id}")
    def board(request: Request, inspection_id: _Id) -> Response:
        return _story(desk, request, inspection_id)

    return router


def _boards(desk: Desk, request: Request) -> Response:
    query, language, error = request.query_params, language_of(request), ""
    asked = {name: query.get(name, "").strip() for name in FIELDS}
    found = None
    try:
        chosen = chosen_by(asked, desk.settings.root, desk.settings.dashboard.shifts, language)
        older, newer = (_key(query.get(name, ""), language) for name in ("older", "newer"))
        with for_reading(desk.engine).connect() as connection:
            found = page(connection, chosen, _BOARDS, older=older, newer=newer)
    except NotAsked as wrong:
        error = str(wrong)
    kept = {name: value for name, value in asked.items() if value}

    def link(**more: Any) -> str:
        return f"/history?{urlencode(kept | {name: str(value) for name, value in more.items()})}"

    shown: dict[str, Any] = {
        "asked": asked,
        "boards": found.boards if found else [],
        "newer": link(newer=found.newer) if found and found.newer else "",
        "older": link(older=found.older) if found and found.older else "",
        "query": urlencode(kept),
        "most": MOST,
        "error": error,
        "categories": CATEGORIES,
        "statuses": STATUSES,
        "classes": desk.classes,
        "sides": desk.settings.sides,
        "shifts": sorted(f"{each.begins:%H:%M}" for each in desk.settings.dashboard.shifts),
    }
    return desk.render(request, "history.html", 400 if error else 200, **shown)


def _story(desk: Desk, request: Request, inspection_id: int) -> Response:
    with for_reading(desk.engine).connect() as connection:
        found = story(connection, inspection_id)
        if found is None or found.details.board.line != desk.settings.root:
            raise HTTPException(404)
        details = found.details
        serials = sorted({each for each in (details.board.serial, *(row.serial for row in details.serials)) if each})
        passes = {each: history(connection, each, _PASSES) for each in serials}
    steps = steps_of(found)
    shown: dict[str, Any] = {
        "board": details.board,
        "details": details,
        "sides": [_side(found, side) for side in desk.settings.sides],
        "passes": passes,
        "past": found.decisions,
        "calls": calls_of(details, standing(found.decisions)),
        "picture": evidence.address,
        "steps": steps,
        "longest": max((each.ends for each in steps), default=0.0) or 1.0,
        "zone": desk.settings.recorder.zone,
        "local": local_time,
    }
    return desk.render(request, "story.html", **shown)


def _side(found: Story, side: str) -> Mapping[str, Any]:
    """What the page shows of a side: its result, and its picture and heat where they are in the store."""
    stored = {each.kind: each for each in found.details.pictures if each.camera_id == side and each.state == "stored"}
    return {
        "name": side,
        "result": next((each for each in found.details.sides if each.camera_id == side), None),
        "frame": stored.get("frame"),
        "heat": stored.get("heat"),
    }
