"""The web application: who comes in, what every answer carries, how a page is made, and what an error looks like."""

import hashlib
import mimetypes
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import audit, permissions
from dashboard.accounts import Accounts, Visitor
from dashboard.feed import Heard
from dashboard.live import Viewers
from dashboard.permissions import UNKNOWN, WEBSOCKET, Rule, Who
from dashboard.pictures import Pictures
from dashboard.settings import DashboardLine
from dashboard.texts import LANGUAGES, Language, preferred, text
from pcb_bus.mqtt.requests import Requester
from records.database import meaning
from records.errors import DatabaseDown
from records.picture_store import PictureStore

_MOST_BODY = 64 * 1024
_SAFE = {"GET", "HEAD", "OPTIONS"}
_A_YEAR_S = 365 * 86_400
_THEMES = ("light", "dark")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with."""

    settings: DashboardLine
    accounts: Accounts
    viewers: Viewers
    pictures: Pictures
    labels: Mapping[str, str]
    """Of the categories, in Korean, as the line's taxonomy has them."""
    classes: Sequence[str]
    """Of defects, as the taxonomy has them."""
    engine: Engine
    """The records: `for_reading(desk.engine)` where nothing is written."""
    store: PictureStore
    """The pictures that are recorded."""
    requester: Requester
    """Asks the nodes."""
    heard: Callable[[], Sequence[Heard]]
    """Every node, as it is now."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    logins: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """Passwords that are looked at at once: each takes a core for a quarter of a second."""

    @property
    def cookie(self) -> str:
        """Of sessions. Browsers do not tell the ports of a machine apart, and each may have a line of its own."""
        return f"boardline_{self.settings.dashboard.port}"

    @property
    def kiosk_cookie(self) -> str:
        """Of wall screens."""
        return f"{self.cookie}_screen"

    def visitor(self, connection: HTTPConnection) -> Visitor:
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        return Visitor(
            connection.cookies.get(self.cookie),
            connection.cookies.get(self.kiosk_cookie),
            bearer.strip() if scheme.lower() == "bearer" else None,
            connection.client.host if connection.client else None,
        )

    def set_cookie(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        secure = self.settings.certificate is not None
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure)

    def render(self, request: Request, page: str, status: int = 200, **values: Any) -> Response:
        """A page of `templates/`, in the language and brightness of whoever asks."""
        language, theme = language_of(request), request.cookies.get("theme")
        context = {
            "who": getattr(request.state, "who", None),
            "line": self.settings.root,
            "language": language,
            "other": next(each for each in LANGUAGES if each != language),
            "theme": theme if theme in _THEMES else "",
            "path": request.url.path,
            "t": partial(text, language=language),
            "static": static_url,
            "version": VERSION,
            "as_json": audit.as_json,
            **values,
        }
        html = _templates.get_template(page).render(context)
        response = HTMLResponse(html, status, {"cache-control": "no-store", "content-language": language})
        if request.query_params.get("lang") in LANGUAGES:
            self.set_cookie(response, "lang", language, _A_YEAR_S)
        return response


def language_of(request: HTTPConnection) -> Language:
    """As the switch in the header says, else as it did before, else the browser's."""
    for chosen in (request.query_params.get("lang"), request.cookies.get("lang")):
        if chosen in LANGUAGES:
            return chosen
    return preferred(request.headers.get("accept-language", ""))


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of `static/`."""

    content: bytes
    media_type: str
    version: str


def _read_static() -> dict[str, StaticFile]:
    found = {}
    for each in files("dashboard").joinpath("static").iterdir():
        content = each.read_bytes()
        kind = mimetypes.guess_type(each.name)[0] or "application/octet-stream"
        found[each.name] = StaticFile(content, kind, hashlib.sha256(content).hexdigest()[:12])
    return found


STATIC = _read_static()
_templates = Environment(
    loader=PackageLoader("dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


VERSION = hashlib.sha256("".join(each.version for each in STATIC.values()).encode()).hexdigest()[:12]
"""Of the pages: one that is open for weeks loads itself anew when it is another."""


def static_url(name: str) -> str:
    """Another one for each version of the file, so that browsers keep it for good."""
    return f"/static/{name}?v={STATIC[name].version}"


def make_app(desk: Desk, *routers: APIRouter) -> ASGIApp:
    """All pages behind the gate.

    Raises:
        RuntimeError: the table of permissions and the routes differ.
    """
    app = FastAPI(title="Boardline", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for router in routers:
        app.router.routes.extend(router.routes)
    permissions.check(app.router.routes)
    refuse = partial(_refuse, desk)
    app.add_exception_handler(HTTPException, lambda request, error: refuse(request, getattr(error, "status_code", 500)))
    app.add_exception_handler(RequestValidationError, lambda request, _: refuse(request, 422))
    app.add_exception_handler(SQLAlchemyError, lambda request, error: refuse(request, _status_of(error)))
    app.add_exception_handler(DatabaseDown, lambda request, _: refuse(request, 503))
    app.add_exception_handler(Exception, lambda request, _: refuse(request, 500))
    return Gate(app, desk, app.router.routes)


class Gate:
    """Nobody gets past it whom the table of permissions does not let through; and every answer carries the headers."""

    def __init__(self, app: ASGIApp, desk: Desk, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._desk = desk
        self._routes = tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        scope["state"] = {"who": None}
        connection = HTTPConnection(scope)
        refusal = await self._refusal(connection, self._rule(scope))
        send = _with_headers(send)
        if refusal is None:
            return await self._app(scope, _limited(receive, connection.headers), send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        return await refusal(scope, receive, send)

    def _rule(self, scope: Scope) -> Rule:
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                method = WEBSOCKET if scope["type"] == "websocket" else scope["method"]
                return permissions.TABLE.get((method, getattr(route, "path", "")), UNKNOWN)
        return UNKNOWN

    async def _refusal(self, connection: HTTPConnection, rule: Rule) -> Response | None:
        """None: come in; who it is stands in the connection's state."""
        request = Request({"method": "GET", **connection.scope, "type": "http"})
        visitor = self._desk.visitor(connection)
        try:
            if int(connection.headers.get("content-length", "0")) > _MOST_BODY:
                return _refuse(self._desk, request, 413)
            ask = partial(self._desk.accounts.identify, visitor, self._desk.now())
            who: Who | None = None if rule.role is None else await to_thread.run_sync(ask)
        except ValueError:
            return _refuse(self._desk, request, 400)
        except SQLAlchemyError as error:
            return _refuse(self._desk, request, _status_of(error))
        connection.scope["state"]["who"] = who
        if visitor.bearer is None and not _from_here(connection):
            return _refuse(self._desk, request, 403, "error_cross_site")
        if who is not None and who.must_change and not rule.unchanged:
            return RedirectResponse("/account", 303)
        return None if rule.allows(who) else _turned_away(self._desk, request, who)


def _from_here(connection: HTTPConnection) -> bool:
    """Whether a page of ours asks: what changes something, and the live socket, browsers send with its origin."""
    if connection.scope["type"] == "http" and connection.scope["method"] in _SAFE:
        return True
    origin, host = connection.headers.get("origin", ""), connection.headers.get("host", "")
    return bool(host) and secrets.compare_digest(urlsplit(origin).netloc.lower().encode(), host.lower().encode())


def _turned_away(desk: Desk, request: Request, who: Who | None) -> Response:
    if who is None and request.method == "GET" and _wants_page(request):
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='')}", 303)
    return _refuse(desk, request, 401 if who is None else 403)


def _refuse(desk: Desk, request: Request, status: int, key: str = "") -> Response:
    """An error as a page, or as JSON for whoever does not want one."""
    key = key or (f"error_{status}" if status in (400, 401, 403, 404, 405, 413, 422, 503) else "error_500")
    headers = {"cache-control": "no-store"}
    if not _wants_page(request):
        return JSONResponse({"error": text(key, language_of(request))}, status, headers)
    return desk.render(request, "error.html", status, key=key, number=status)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _status_of(error: Exception) -> int:
    return 500 if meaning(error) == "row" else 503


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return sending


def _limited(receive: Receive, headers: Headers) -> Receive:
    """Of a body whose length nobody said, no more than the rest may have: then it ends as if the sender had gone."""
    taken = 0
    if "content-length" in headers:
        return receive

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b"")) if message["type"] == "http.request" else 0
        return {"type": "http.disconnect"} if taken > _MOST_BODY else message

    return receiving
