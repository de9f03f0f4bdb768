"""REST of generation 1: the addresses, and what is behind each."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Protocol
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response
from pydantic import AliasChoices, BaseModel, Field
from sqlalchemy import Engine

from dashboard.doors import answers
from dashboard.doors.answers import DualPrediction, Inspections, Page, Prediction, Statistics, SystemStatus
from dashboard.doors.machine import Usage
from dashboard.live_settings import LiveSettings
from dashboard.staff import Act
from pcb_bus.contract.messages import Category, Verdict
from pcb_bus.contract.pictures import inspect_jpeg
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.errors import CommandFailed, MessageRejected
from records import queries
from records.database import for_reading
from records.picture_store import PictureStore

_MAX_PIXELS = 50_000_000
_MOST_ROWS = 1000
_FIRST_DAY, _LAST_DAY = date(1970, 1, 1), date(2200, 12, 31)
_HERE = frozenset({"online", "degraded"})


class Inspects(Protocol):
    """Whoever asks inference about pictures of no board."""

    def __call__(self, pictures: Mapping[str, bytes]) -> Verdict:
        """Raises CommandFailed: it cannot be had."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the doors lead to.

    Args:
        root: of its topics.
        state: what `dashboard.feed` says of it now.
        now: the moment, timezone-aware.
    """

    root: str
    sides: tuple[str, ...]
    zone: ZoneInfo
    taxonomy: Taxonomy
    engine: Engine
    store: PictureStore
    state: Callable[[], Mapping[str, Any]]
    inspect: Inspects
    now: Callable[[], datetime]

    def local_now(self) -> datetime:
        return self.now().astimezone(self.zone)


class Predict(BaseModel):
    """A picture of one side, as base64 of a JPEG."""

    camera_id: str
    frame: str
    timestamp: str | None = None


class PredictDual(BaseModel):
    """Pictures of both sides; the last generation calls them `left_image` and `right_image`."""

    frame_left: str = Field(validation_alias=AliasChoices("frame_left", "left_image"))
    frame_right: str = Field(validation_alias=AliasChoices("frame_right", "right_image"))


Day = Annotated[date | None, Query(description="YYYY-MM-DD; today, where it is left out")]


class Rest:
    """Answers of one line. Each method is an address; they run on the threads of the web server."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._usage = Usage()

    def router(self) -> APIRouter:
        """All addresses but those of pictures that move."""
        router = APIRouter()
        get = partial(router.add_api_route, methods=["GET"])
        post = partial(router.add_api_route, methods=["POST"])
        get("/health", self.health)
        get("/api/inspections", self.inspections)
        get("/api/statistics", self.statistics)
        get("/api/defect-images/{inspection_id}", self.picture, response_class=Response)
        get("/api/system-status", self.system_status)
        get("/api/latest_results", self.latest)
        post("/api/config", self.configure)
        post("/predict", self.predict)
        post("/predict_dual", self.predict_dual)
        return router

    def health(self) -> dict[str, str]:
        return {"status": "ok", "timestamp": self._line.local_now().isoformat(timespec="milliseconds")}

    def inspections(
        self,
        request: Request,
        page: Annotated[int, Query(ge=1, le=10**9)] = 1,
        limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 50,
    ) -> Inspections:
        """Boards, newest first."""
        line = self._line
        with for_reading(line.engine).connect() as connection:
            total = sum(queries.totals(connection, line.root).values())
            pages = -(-total // limit)
            chosen = queries.Filter(line=line.root)
            found = queries.boards(connection, chosen, limit, (page - 1) * limit) if page <= pages else []
        data = [answers.inspection(each, line.zone, self._picture_url(request, each)) for each in found]
        return Inspections(data=data, pagination=Page(page=page, limit=limit, total=total, total_pages=pages))

    def statistics(self, start_date: Day = None, end_date: Day = None) -> Statistics:
        """Boards of these days, both included."""
        line = self._line
        last = end_date or line.local_now().date()
        if not _FIRST_DAY <= last <= _LAST_DAY:
            raise HTTPException(400, f"end_date {last} is not between {_FIRST_DAY} and {_LAST_DAY}")
        first = start_date or min(last, line.local_now().date())
        if first > last:
            raise HTTPException(400, f"start_date {first} is after end_date {last}")
        counts: dict[Category, int] = {}
        with for_reading(line.engine).connect() as connection:
            for each in queries.days(connection, line.root, first, last):
                category: Any = each.category
                counts[category] = counts.get(category, 0) + each.boards
        return answers.statistics(counts)

    def picture(self, inspection_id: Annotated[int, Path(ge=0, lt=2**63)]) -> Response:
        """Of the side that decided."""
        with for_reading(self._line.engine).connect() as connection:
            found = queries.details(connection, inspection_id)
        pictures = [each for each in found.pictures if (each.kind, each.state) == ("frame", "stored")] if found else []
        if found is None or not pictures:
            raise HTTPException(404, f"there is no picture of inspection {inspection_id}")
        decided = next((each for each in pictures if each.camera_id == found.board.camera_id), pictures[0])
        try:
            return Response(self._line.store.get(decided.path), media_type="image/jpeg")
        except FileNotFoundError:
            raise HTTPException(404, f"the picture of inspection {inspection_id} is not in the store") from None
        except OSError:
            raise HTTPException(503, "the store of pictures does not answer: try again later") from None

    def system_status(self) -> SystemStatus:
        line, state = self._line, self._line.state()
        here = {each["node"] for each in state.get("nodes", ()) if each["state"] in _HERE}
        pis = [f"edge-{side}" in here for side in (*line.sides, "", "")][:2]
        used = self._usage.percent()
        return SystemStatus(
            server_online="inference" in here,
            database_online=not state.get("database"),
            raspberry_pi_1_online=pis[0],
            raspberry_pi_2_online=pis[1],
            server_cpu_usage=used.cpu,
            server_memory_usage=used.memory,
            server_gpu_usage=used.gpu,
            last_update=line.local_now(),
        )

    def configure(self, given: dict[str, Any], request: Request) -> dict[str, Any]:
        """Sets what the line knows of it, for the whole line; all of it or nothing."""
        act = Act(request.state.who, self._line.now(), request.client.host if request.client else None)
        try:
            values = answers.line_values(given)
            LiveSettings(self._line.engine, self._line.root).change(act, values)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        ignored = [key for key in given if key in answers.IGNORED]
        return {"status": "ok", "success": True, "set": values, "ignored": ignored}

    def latest(self) -> dict[str, Any]:
        """The last boards, newest first."""
        boards = self._line.state().get("boards", ())
        return {"status": "ok", "data": [{**each, "defect_type": self._label(each["category"])} for each in boards]}

    def predict(self, asked: Predict) -> Prediction:
        """What the line would say of such a picture: no board, no gate, no row."""
        line = self._line
        if asked.camera_id not in line.sides:
            raise HTTPException(400, f"camera_id: {asked.camera_id} is none of {', '.join(line.sides)}")
        verdict = self._inspect({asked.camera_id: _jpeg("frame", asked.frame)})
        return answers.prediction(verdict, asked.camera_id, line.taxonomy, line.local_now())

    def predict_dual(self, asked: PredictDual) -> DualPrediction:
        """The same of a board with two sides."""
        line = self._line
        if len(line.sides) != 2:
            raise HTTPException(400, f"this line has the sides {', '.join(line.sides)}: ask about one with /predict")
        left, right = line.sides
        pictures = {left: _jpeg("frame_left", asked.frame_left), right: _jpeg("frame_right", asked.frame_right)}
        return answers.dual_prediction(self._inspect(pictures), (left, right), line.taxonomy, line.local_now())

    def _inspect(self, pictures: Mapping[str, bytes]) -> Verdict:
        try:
            return self._line.inspect(pictures)
        except CommandFailed as failure:
            raise HTTPException(503, str(failure)) from None

    def _label(self, category: Category) -> str:
        return self._line.taxonomy.label(category)

    @staticmethod
    def _picture_url(request: Request, board: queries.Board) -> str | None:
        return board.image_path and str(request.url_for("picture", inspection_id=board.id))


def _jpeg(field: str, text: str) -> bytes:
    """From base64, with or without the beginning of a data URL."""
    _, _, data = text.rpartition(",") if text.startswith("data:") else ("", "", text)
    try:
        jpeg = base64.b64decode("".join(data.split()), validate=True)
        inspect_jpeg(jpeg, max_pixels=_MAX_PIXELS)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(400, f"{field}: not a JPEG in base64: {error}") from None
    except MessageRejected as rejection:
        raise HTTPException(400, f"{field}: not a picture to inspect: {rejection}") from None
    return jpeg
