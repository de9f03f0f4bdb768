"""The live values of the line: who set them when, changed after a look at the difference, and undone from the log."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Path, Query
from sqlalchemy import Engine, delete, insert, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard import audit
from dashboard.staff import Act
from dashboard.users import act_of
from dashboard.web import Desk
from records.database import for_reading
from records.live_config import KNOWN, check, read_table
from records.people import AuditEntry, SystemConfig, User

CHANGED = "setting changed"
_LAST = 20
_LONGEST = 4000

_Key = Annotated[str, Path(max_length=64)]
_Id = Annotated[int, Path(ge=1, le=2**62)]


class Shown(NamedTuple):
    """A key as the page shows it; what is None is not set, and the services' files hold."""

    key: str
    value: str | None
    by: str | None
    at: Any


class LiveSettings:
    """Reads and writes `system_config` of one line. Any thread."""

    def __init__(self, engine: Engine, line: str) -> None:
        self._engine, self._line = engine, line

    def all(self) -> list[Shown]:
        """Every key that there is."""
        values = read_table(self._engine, self._line).values
        row = SystemConfig
        query = select(row.key, row.updated_at, User.username).outerjoin(User, User.id == row.user_id)
        with for_reading(self._engine).connect() as connection:
            about = {each.key: each for each in connection.execute(query.where(row.line == self._line))}
        return [
            Shown(key, as_typed(values[key]), about[key].username, about[key].updated_at)
            if key in values and key in about
            else Shown(key, None, None, None)
            for key in KNOWN
        ]

    def past(self) -> list[AuditEntry]:
        """The last changes, newest first."""
        with for_reading(self._engine).connect() as connection:
            found = audit.entries(connection, audit.Chosen(action=CHANGED), _LAST)
        return [each for each in found if each.line == self._line]

    def change(self, act: Act, values: Mapping[str, Any]) -> None:
        """All of them or nothing; None: the key is set no longer.

        Raises:
            ValueError: an unknown key, or a value out of its range; one line.
        """
        checked = {key: None if value is None else check(key, value) for key, value in values.items()}
        if unknown := checked.keys() - KNOWN.keys():
            raise ValueError(f"unknown key: {', '.join(sorted(unknown))}")
        with self._engine.begin() as connection:
            for key, value in checked.items():
                mine = SystemConfig.line == self._line, SystemConfig.key == key
                before = connection.execute(select(SystemConfig.value).where(*mine).with_for_update()).first()
                was = None if before is None else before.value
                if was == value:
                    continue
                connection.execute(delete(SystemConfig).where(*mine))
                if value is not None:
                    row = {"line": self._line, "key": key, "value": value, "updated_at": act.now}
                    connection.execute(insert(SystemConfig).values(row | {"user_id": act.who.user_id}))
                change = audit.Change(CHANGED, key, {"value": was}, {"value": value})
                audit.note(connection, self._line, act.who, change, act.now, act.address)

    def before(self, entry_id: int) -> tuple[str, Any]:
        """The key of a change, and what it was before.

        Raises:
            LookupError: there is no such change.
        """
        query = select(AuditEntry.subject, AuditEntry.before).where(
            AuditEntry.id == entry_id, AuditEntry.action == CHANGED, AuditEntry.line == self._line
        )
        with for_reading(self._engine).connect() as connection:
            found = connection.execute(query).first()
        if found is None or found.subject not in KNOWN:
            raise LookupError(entry_id)
        return found.subject, (found.before or {}).get("value")


def as_typed(value: Any) -> str:
    """As a person types it: names without quotation marks."""
    return value if isinstance(value, str) else audit.as_json(value)


def typed(key: str, text: str) -> Any:
    """The value; None: nothing was typed.

    Raises:
        ValueError: an unknown key, or a value out of its range; one line.
    """
    if not text.strip():
        return None
    if key == "product":
        return check(key, text.strip())
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.strip()
    return check(key, value)


def routes(desk: Desk) -> APIRouter:
    """For `make_app`."""
    router, live = APIRouter(), LiveSettings(desk.engine, desk.settings.root)

    def show(request: Request, status: int = 200, error: str = "") -> Response:
        shown: dict[str, Any] = {"settings": live.all(), "past": live.past(), "error": error}
        return desk.render(request, "settings.html", status, zone=desk.settings.recorder.zone, **shown)

    @router.get("/settings")
    def page(request: Request) -> Response:
        return show(request)

    @router.get("/settings/{key}")
    def compare(request: Request, key: _Key, value: Annotated[str, Query(max_length=_LONGEST)] = "") -> Response:
        """What it was and what it will be, to confirm."""
        if key not in KNOWN:
            raise HTTPException(404)
        try:
            wanted = typed(key, value)
        except ValueError as error:
            return show(request, 422, str(error))
        before = next(each.value for each in live.all() if each.key == key)
        after = None if wanted is None else as_typed(wanted)
        return desk.render(request, "setting.html", key=key, before=before, after=after)

    @router.post("/settings/{key}")
    def change(request: Request, key: _Key, value: Annotated[str, Form(max_length=_LONGEST)] = "") -> Response:
        if key not in KNOWN:
            raise HTTPException(404)
        try:
            live.change(act_of(desk, request), {key: typed(key, value)})
        except ValueError as error:
            return show(request, 422, str(error))
        return RedirectResponse("/settings", 303)

    _add_undo(router, desk, live)
    return router


def _add_undo(router: APIRouter, desk: Desk, live: LiveSettings) -> None:
    @router.post("/settings/undo/{entry_id}")
    def undo(request: Request, entry_id: _Id) -> Response:
        """The key has again what it had before that change."""
        try:
            key, value = live.before(entry_id)
            live.change(act_of(desk, request), {key: value})
        except LookupError:
            raise HTTPException(404) from None
        return RedirectResponse("/settings", 303)
