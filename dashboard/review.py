"""The review station: a person looks at the line's calls beside a good board, and decides each with one key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Query
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy import Connection, Engine, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard import evidence
from dashboard.web import Desk
from records.database import for_reading
from records.errors import ReviewRefused
from records.queries import Details, details
from records.reviewing import (
    Decided,
    Decision,
    Past,
    Reason,
    Sampling,
    decide,
    decisions,
    put_back,
    queue,
    standing,
    start_of,
    take,
    undo,
    waiting,
)
from records.tables import Defect, DefectImage, Inspection, Serial
from records.times import local_time

_LOOKED_BACK = timedelta(days=7)  # at the first start, boards that came before there was a queue
_AROUND = 3.0  # of a box, what is shown beside it on each side, as a share of the box
_LEAST_PX = 120  # so much of the picture is shown at least

_Verdict = Annotated[str, Path(max_length=128)]
_Edge = Annotated[float | None, BeforeValidator(lambda given: None if given == "" else given), Field(ge=0, le=1e5)]


class ReviewQueue:
    """Draws the boards that people are to look at, as they are recorded. On one thread.

    Args:
        share: of the normal boards, 0 to 1.
    """

    def __init__(self, engine: Engine, line: str, share: float) -> None:
        self._engine, self._line, self._sampling = engine, line, Sampling(share=share)
        self._seen: int | None = None

    def draw(self, wall_time: datetime) -> None:
        """Raises SQLAlchemyError: it is done next time."""
        with self._engine.begin() as connection:
            if self._seen is None:
                self._seen = start_of(connection, self._line, wall_time - _LOOKED_BACK)
            _, self._seen = queue(connection, self._line, self._sampling, self._seen, datetime.now(UTC))


class Said(BaseModel):
    """What the page sends of a decision."""

    decision: Decided
    defect_id: Annotated[int, Field(ge=1, le=2**62)] | None = None
    class_name: Annotated[str, Field(max_length=64)] = ""
    camera_id: Annotated[str, Field(max_length=64)] = ""
    x1: _Edge = None
    y1: _Edge = None
    x2: _Edge = None
    y2: _Edge = None
    note: Annotated[str, Field(max_length=500)] = ""

    def of(self, verdict_id: str) -> Decision:
        """Of a board. The forms name a class and a side also where the decision has none."""
        class_name = self.class_name if self.decision in ("other_class", "missed") else None
        missed, box = self.decision == "missed", None
        if missed and None not in (self.x1, self.y1, self.x2, self.y2):
            box = self.x1, self.y1, self.x2, self.y2
        side = self.camera_id if missed else None
        note = self.note.strip() or None
        return Decision(verdict_id, self.decision, self.defect_id, class_name or None, side or None, box, note)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class View:
    """A part of a picture, as an SVG's viewBox wants it, and the whole of it; in pixels."""

    x: float
    y: float
    width: float
    height: float
    whole: tuple[int, int]

    @property
    def box(self) -> str:
        return f"{self.x:.1f} {self.y:.1f} {self.width:.1f} {self.height:.1f}"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the line on a board, where it is, and the decision that holds."""

    row: Defect
    view: View
    decision: Past | None


def view_of(box: tuple[float, float, float, float], whole: tuple[int, int]) -> View:
    """What is shown of a picture of this size around a box (x1, y1, x2, y2): three times the box, four to three."""
    x1, y1, x2, y2 = box
    width = max((x2 - x1) * _AROUND, (y2 - y1) * _AROUND * 4 / 3, _LEAST_PX)
    width = min(width, whole[0], whole[1] * 4 / 3)
    height = width * 3 / 4
    x = min(max((x1 + x2 - width) / 2, 0), whole[0] - width)
    y = min(max((y1 + y2 - height) / 2, 0), whole[1] - height)
    return View(x, y, width, height, whole)


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router, line = APIRouter(), desk.settings.root

    @router.get("/review")
    def start(
        request: Request, board: Annotated[str, Query(max_length=128)] = "", reason: Reason | Literal[""] = ""
    ) -> Response:
        """A board that was scanned, else the queue."""
        with for_reading(desk.engine).connect() as connection:
            found = _find(connection, line, board.strip()) if board.strip() else None
            counts = waiting(connection, line)
        if found is not None:
            return RedirectResponse(_page(found), 303)
        return desk.render(request, "review_queue.html", 404 if board else 200, counts=counts, scanned=board)

    @router.post("/review/next")
    def following(request: Request, reason: Annotated[Reason | None, Form()] = None) -> Response:
        with desk.engine.begin() as connection:
            found = take(connection, line, request.state.who.user_id, desk.now(), reason)
        return RedirectResponse(_page(found.verdict_id) if found else "/review", 303)

    @router.post("/review/undo")
    def take_back(request: Request) -> Response:
        with desk.engine.begin() as connection:
            undone = undo(connection, line, request.state.who.user_id, desk.now())
        return RedirectResponse(_page(undone.verdict_id) if undone else "/review", 303)

    @router.get("/review/{verdict_id}")
    def board(request: Request, verdict_id: _Verdict) -> Response:
        return _show(desk, request, verdict_id)

    @router.post("/review/{verdict_id}")
    def decided(request: Request, verdict_id: _Verdict, said: Annotated[Said, Form()]) -> Response:
        try:
            with desk.engine.begin() as connection:
                decide(connection, line, said.of(verdict_id), request.state.who.user_id, desk.now())
        except ReviewRefused as refused:
            return _show(desk, request, verdict_id, str(refused))
        return RedirectResponse(_page(verdict_id), 303)

    @router.post("/review/{verdict_id}/back")
    def give_back(request: Request, verdict_id: _Verdict) -> Response:
        with desk.engine.begin() as connection:
            put_back(connection, line, verdict_id, request.state.who.user_id)
        return RedirectResponse("/review", 303)

    return router


def _page(verdict_id: str) -> str:
    return f"/review/{quote(verdict_id, safe='')}"


def _find(connection: Connection, line: str, scanned: str) -> str | None:
    """The verdict of the last pass of a board, by its id, its verdict's, or a serial that was read on any side."""
    row, newest = Inspection, (Inspection.inspection_time.desc(), Inspection.id.desc())
    for key in (row.verdict_id, row.board_id, row.serial):
        query = select(row.verdict_id).where(row.line == line, key == scanned).order_by(*newest).limit(1)
        if (found := connection.scalar(query)) is not None:
            return found
    read = select(Serial.verdict_id).where(Serial.line == line, Serial.serial == scanned)
    return connection.scalar(read.order_by(Serial.id.desc()).limit(1))


def _show(desk: Desk, request: Request, verdict_id: str, error: str = "") -> Response:
    line = desk.settings.root
    with for_reading(desk.engine).connect() as connection:
        number = connection.scalar(select(Inspection.id).filter_by(line=line, verdict_id=verdict_id))
        found = None if number is None else details(connection, number)
        if found is None:
            raise HTTPException(404)
        past = decisions(connection, line, verdict_id)
        good = {side: _good_board(connection, found.board, side) for side in desk.settings.sides}
        counts = waiting(connection, line)
    held = standing(past)
    calls = calls_of(found, held)
    shown = {
        "board": found.board,
        "sides": [_side(found, side) for side in desk.settings.sides],
        "calls": calls,
        "call": next((each for each in calls if each.decision is None), None),
        "whole": next((each for each in held if each.defect_id is None), None),
        "past": past,
        "good": good,
        "picture": evidence.address,
        "classes": _classes(desk, calls),
        "counts": counts,
        "error": error,
        "zone": desk.settings.recorder.zone,
        "local": local_time,
    }
    return desk.render(request, "review.html", 422 if error else 200, **shown)


def calls_of(found: Details, held: Sequence[Past]) -> list[Call]:
    """The line's calls on a board, with what was decided of each."""
    sizes = {each.camera_id: (each.width, each.height) for each in found.pictures if each.kind == "frame"}
    said = {each.defect_id: each for each in held if each.defect_id is not None}
    calls = []
    for row in found.defects:
        whole = sizes.get(row.camera_id, (max(round(row.x2), 1), max(round(row.y2), 1)))
        calls.append(Call(row, view_of((row.x1, row.y1, row.x2, row.y2), whole), said.get(row.id)))
    return calls


def _side(found: Details, side: str) -> Mapping[str, Any]:
    """For the page: what is known of a side, its picture and its heat, if there are any."""
    kinds = {each.kind: each for each in found.pictures if each.camera_id == side and each.state == "stored"}
    result = next((each for each in found.sides if each.camera_id == side), None)
    return {"name": side, "result": result, "picture": kinds.get("frame"), "heat": kinds.get("heat")}


def _good_board(connection: Connection, board: Inspection, side: str) -> str | None:
    """The verdict of the newest good board of the same product of which this side's picture is in the store."""
    same = (DefectImage.line == Inspection.line) & (DefectImage.verdict_id == Inspection.verdict_id)
    product = Inspection.product.is_(None) if board.product is None else Inspection.product == board.product
    newest = (
        select(DefectImage.verdict_id)
        .join(Inspection, same)
        .where(DefectImage.line == board.line, DefectImage.state == "stored", DefectImage.kind == "frame")
        .where(DefectImage.camera_id == side, Inspection.category == "normal", product)
        .where(Inspection.verdict_id != board.verdict_id)
    )
    return connection.scalar(newest.order_by(DefectImage.received_at.desc()).limit(1))


def _classes(desk: Desk, calls: Sequence[Call]) -> list[str]:
    return sorted({*desk.classes, *(each.row.class_name for each in calls)})
