"""The page of the alerts: what is open, who has seen it, and what a person says is over."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from sqlalchemy import select, update
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard import audit
from dashboard.web import Desk
from records.database import for_reading
from records.people import User
from records.queries import open_alerts
from records.tables import Alert

_MOST = 500
_Id = Annotated[int, Path(ge=1, le=2**62)]


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router = APIRouter()

    @router.get("/alerts")
    def page(request: Request) -> Response:
        with for_reading(desk.engine).connect() as connection:
            found = open_alerts(connection, desk.settings.root)
            by = {each.user_id for each in found if each.user_id is not None}
            people = connection.execute(select(User.id, User.username).where(User.id.in_(by)))
            names = {each.id: each.username for each in people}
        shown: dict[str, Any] = {"alerts": found[:_MOST], "more": len(found) > _MOST, "names": names}
        return desk.render(request, "alerts.html", zone=desk.settings.recorder.zone, **shown)

    @router.post("/alerts/{alert_id}/acknowledge")
    def acknowledge(request: Request, alert_id: _Id) -> Response:
        """Somebody has seen it, and looks after it."""
        _set(desk, request, alert_id, "acknowledged")
        return RedirectResponse("/alerts", 303)

    @router.post("/alerts/{alert_id}/resolve")
    def resolve(request: Request, alert_id: _Id) -> Response:
        """It is over; if its cause is still there, the recorder raises it again after an hour."""
        _set(desk, request, alert_id, "resolved")
        return RedirectResponse("/alerts", 303)

    return router


def _set(desk: Desk, request: Request, alert_id: int, what: str) -> None:
    """Nothing, if somebody else was faster.

    Raises:
        HTTPException: the line has no such alert.
    """
    who, now, column = request.state.who, desk.now(), f"{what}_at"
    mine = Alert.id == alert_id, Alert.line == desk.settings.root
    with desk.engine.begin() as connection:
        query = select(Alert.kind, Alert.subject, Alert.message).where(*mine)
        alert = connection.execute(query).first()
        if alert is None:
            raise HTTPException(404)
        still_to_do = *mine, Alert.resolved_at.is_(None), getattr(Alert, column).is_(None)
        changes = {column: now, "user_id": who.user_id}
        if connection.execute(update(Alert).where(*still_to_do).values(changes)).rowcount:
            after = {"kind": alert.kind, "message": alert.message}
            change = audit.Change(f"alert {what}", alert.subject, after=after)
            audit.note(connection, desk.settings.root, who, change, now, desk.visitor(request).address)
