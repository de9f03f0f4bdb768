"""The pages of users and of the audit log, for admins."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Query
from pydantic import BaseModel, BeforeValidator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard import audit
from dashboard.accounts import Refused
from dashboard.permissions import ROLES, SCOPES, Role, Scope
from dashboard.staff import Act, Staff
from dashboard.web import Desk
from records.database import for_reading

_PAGE = 100
_OF_PROGRAMS = tuple(each for each in SCOPES if each != "kiosk")
_LONGEST_DAYS = 3650

_Id = Annotated[int, Path(ge=1, le=2**62)]
_Text = Annotated[str, Form(max_length=1000)]
_Word = Annotated[str, Query(max_length=64)]
_Day = Annotated[date | None, BeforeValidator(lambda given: None if given == "" else given), Query()]
_Key = Annotated[int | None, Query(ge=1, le=2**62)]


class _NewToken(BaseModel):
    """What the form of a token says; `days` until it ends, empty: never."""

    name: str = ""
    scopes: list[Scope] = []
    days: Annotated[int | None, BeforeValidator(lambda given: None if given == "" else given)] = None


def act_of(desk: Desk, request: Request) -> Act:
    """Who asks for it, now."""
    return Act(request.state.who, desk.now(), desk.visitor(request).address)


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router, staff = APIRouter(), Staff(desk.engine, desk.settings.root, desk.accounts.forget)
    _add_list(router, desk, staff)
    _add_user(router, desk, staff)
    _add_tokens(router, desk, staff)
    _add_log(router, desk)
    return router


def _add_list(router: APIRouter, desk: Desk, staff: Staff) -> None:
    def show(request: Request, status: int = 200, **shown: Any) -> Response:
        typed = {"username": "", "full_name": "", "role": ""}
        values = {"error": "", "typed": typed, "roles": ROLES, "zone": desk.settings.recorder.zone}
        return desk.render(request, "users.html", status, users=staff.all(), **values | shown)

    @router.get("/users")
    def users(request: Request) -> Response:
        return show(request)

    @router.post("/users")
    def make(request: Request, username: _Text, role: Annotated[Role, Form()], full_name: _Text = "") -> Response:
        try:
            made, password = staff.make(act_of(desk, request), username, full_name, role, None)
        except Refused as refused:
            typed = {"username": username, "full_name": full_name, "role": role}
            return show(request, 422, error=refused.key, typed=typed)
        return _show_user(desk, staff, request, made, password=password)


def _add_user(router: APIRouter, desk: Desk, staff: Staff) -> None:
    @router.get("/users/{user_id}")
    def user(request: Request, user_id: _Id) -> Response:
        return _show_user(desk, staff, request, user_id)

    @router.post("/users/{user_id}")
    def change(request: Request, user_id: _Id, role: Annotated[Role, Form()], full_name: _Text = "") -> Response:
        return _changed(desk, staff, request, user_id, role=role, full_name=full_name)

    @router.post("/users/{user_id}/active")
    def activate(request: Request, user_id: _Id, active: Annotated[bool, Form()]) -> Response:
        return _changed(desk, staff, request, user_id, active=active)

    @router.post("/users/{user_id}/password")
    def reset(request: Request, user_id: _Id) -> Response:
        try:
            password = staff.reset_password(act_of(desk, request), user_id)
        except Refused as refused:
            return _show_user(desk, staff, request, user_id, 404, error=refused.key)
        return _show_user(desk, staff, request, user_id, password=password)

    @router.post("/users/{user_id}/sessions")
    def end_sessions(request: Request, user_id: _Id) -> Response:
        try:
            staff.end_sessions(act_of(desk, request), user_id)
        except Refused as refused:
            return _show_user(desk, staff, request, user_id, 404, error=refused.key)
        return RedirectResponse(f"/users/{user_id}", 303)


def _add_tokens(router: APIRouter, desk: Desk, staff: Staff) -> None:
    @router.post("/users/{user_id}/tokens")
    def make(request: Request, user_id: _Id, asked: Annotated[_NewToken, Form()]) -> Response:
        act = act_of(desk, request)
        try:
            staff.get(user_id)
            if not asked.scopes or not set(asked.scopes) <= set(_OF_PROGRAMS):
                raise Refused("token_scopes_wrong")
            expires_at = _end(act.now, asked.days)
            token = desk.accounts.make_token(
                act.who, asked.name, asked.scopes, act.now, act.address, owner=user_id, expires_at=expires_at
            )
        except Refused as refused:
            return _show_user(desk, staff, request, user_id, 422, error=refused.key)
        return _show_user(desk, staff, request, user_id, token=token)

    @router.post("/users/{user_id}/tokens/{token_id}/revoke")
    def revoke(request: Request, user_id: _Id, token_id: _Id) -> Response:
        act = act_of(desk, request)
        try:
            desk.accounts.revoke(act.who, token_id, act.now, act.address)
        except Refused as refused:
            return _show_user(desk, staff, request, user_id, 404, error=refused.key)
        return RedirectResponse(f"/users/{user_id}", 303)


def _end(now: datetime, days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= _LONGEST_DAYS:
        raise Refused("token_days_wrong")
    return now + timedelta(days=days)


def _changed(desk: Desk, staff: Staff, request: Request, user_id: int, **values: Any) -> Response:
    try:
        staff.change(act_of(desk, request), user_id, **values)
    except Refused as refused:
        return _show_user(desk, staff, request, user_id, 422, error=refused.key)
    return RedirectResponse("/users" if "active" in values else f"/users/{user_id}", 303)


def _show_user(desk: Desk, staff: Staff, request: Request, user_id: int, status: int = 200, **shown: Any) -> Response:
    """A user's page, if there is such a user."""
    values: dict[str, Any] = {
        "error": "",
        "password": "",
        "token": "",
        "zone": desk.settings.recorder.zone,
        "roles": ROLES,
    }
    try:
        user = staff.get(user_id)
    except Refused:
        raise HTTPException(404) from None
    tokens, sessions = staff.tokens(user_id), staff.sessions(user_id, desk.now())
    about = {"user": user, "tokens": tokens, "sessions": sessions, "scopes": _OF_PROGRAMS}
    shown = {**values, **about, **shown}
    return desk.render(request, "user.html", status, **shown)


def days_of(first: date | None, last: date | None, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """From the first moment of a day to before the first of the day after the last; None where there is no bound."""
    since = None if first is None else datetime.combine(first, time(), zone)
    until = None if last is None or last == date.max else datetime.combine(last + timedelta(days=1), time(), zone)
    return since, until


def _add_log(router: APIRouter, desk: Desk) -> None:
    zone = desk.settings.recorder.zone

    @router.get("/audit")
    def log(
        request: Request,
        user: _Word = "",
        action: _Word = "",
        first: _Day = None,
        last: _Day = None,
        before: _Key = None,
    ) -> Response:
        since, until = days_of(first, last, zone)
        chosen = audit.Chosen(user or None, action or None, since, until, before)
        with for_reading(desk.engine).connect() as connection:
            found = audit.entries(connection, chosen, _PAGE + 1)
            actions = audit.actions(connection)
        typed = {"user": user, "action": action, "first": first or "", "last": last or ""}
        shown: dict[str, Any] = {"entries": found[:_PAGE], "actions": actions, "typed": typed, "zone": zone}
        return desk.render(request, "audit.html", older=_older(found, typed), **shown)


def _older(found: Sequence[Any], typed: dict[str, Any]) -> str:
    """The address of the page after this one; empty: this is the last."""
    if len(found) <= _PAGE:
        return ""
    kept = {key: value for key, value in typed.items() if value}
    return "/audit?" + urlencode(kept | {"before": found[_PAGE - 1].id})
