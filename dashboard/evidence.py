"""Recorded pictures of boards, by what they show: no address holds a path."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path
from sqlalchemy import select
from starlette.exceptions import HTTPException
from starlette.responses import Response

from dashboard.pictures import Kind
from dashboard.web import Desk
from records.database import for_reading
from records.tables import DefectImage

_KINDS = {"picture": "frame", "heat": "heat"}  # as the table calls them
_Id = Annotated[str, Path(max_length=128)]
_AN_HOUR = {"cache-control": "private, max-age=3600"}


def address(verdict_id: str, side: str, kind: Kind = "picture") -> str:
    """Of the picture of a side, or of the heat that is laid over it."""
    return f"/pictures/{quote(verdict_id, safe='')}/{quote(side, safe='')}/{kind}"


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router = APIRouter()

    @router.get("/pictures/{verdict_id}/{side}/{kind}")
    def picture(verdict_id: _Id, side: _Id, kind: Kind) -> Response:
        shows = {"line": desk.settings.root, "verdict_id": verdict_id, "camera_id": side, "kind": _KINDS[kind]}
        with for_reading(desk.engine).connect() as connection:
            path = connection.scalar(select(DefectImage.path).filter_by(**shows, state="stored"))
        if path is None:
            raise HTTPException(404)
        try:
            content = desk.store.get(path)
        except FileNotFoundError:
            raise HTTPException(404) from None
        except OSError:
            raise HTTPException(503) from None
        return Response(content, media_type="image/jpeg" if kind == "picture" else "image/png", headers=_AN_HOUR)

    return router
