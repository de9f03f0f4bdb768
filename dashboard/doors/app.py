"""The doors' own web application, on a port of its own: who comes in, and what an error looks like to old programs."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import socketio
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.accounts import Accounts, Refused, Visitor
from dashboard.doors.answers import Answer
from dashboard.doors.moving import Sockets, Streams
from dashboard.doors.rest import Line, Rest
from dashboard.doors.users import TOLD, UsersRest
from dashboard.permissions import DOORS, UNKNOWN, Rule, Who, check
from dashboard.pictures import Pictures
from dashboard.texts import text
from records.errors import DatabaseDown

_MOST_BODY = 8 * 1024 * 1024
_IN_PATH = "/t/"
_TOKEN_NEEDED = "a token is needed: Authorization: Bearer <token>, or http://host:port/t/<token> as base address"
_CHANGE = "log in to the pages of the dashboard first, and change the password there"
_DATABASE_AWAY = "the database does not answer: try again later"
_LOOK_ON = Rule("viewer", "read")
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


class Login(BaseModel):
    """Of a person."""

    username: str
    password: str


class Person(Answer):
    """Who somebody is. Old clients know the roles Viewer, Operator and Admin."""

    id: int
    username: str
    role: str


class LoggedIn(Answer):
    """`token` goes into the header of each request, `Authorization: Bearer <token>`."""

    status: str = "ok"
    success: bool = True
    token: str
    user: Person


def make_doors(
    line: Line,
    accounts: Accounts,
    pictures: Pictures,
    placeholder: bytes,
    origins: list[str],
    now: Callable[[], datetime],
) -> ASGIApp:
    """REST, MJPEG and Socket.IO of earlier generations.

    Args:
        placeholder: a JPEG for a side of which there is no picture.
        origins: of web pages elsewhere that may use it from a browser, as `http://192.168.0.20:8000`.

    Raises:
        RuntimeError: the table of permissions and the routes differ.
    """
    door = _Door(accounts, now)
    sockets = Sockets(line, pictures, door.may_look, origins)

    title = "Boardline for programs of earlier generations"
    app = FastAPI(title=title, version="1", openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.extend([*Rest(line).router().routes, *UsersRest(line, accounts).router().routes])
    app.add_api_route("/api/auth/login", door.log_in, methods=["POST"])
    app.add_api_route("/api/auth/logout", door.log_out, methods=["POST"])
    app.add_api_route(
        "/video_feed/{side}", Streams(pictures, placeholder, door.may_look).feed, methods=["GET"], response_model=None
    )
    app.add_api_route("/openapi.json", app.openapi, methods=["GET"], include_in_schema=False)
    check(app.router.routes, DOORS)
    _answer_errors(app)
    gate = _Gate(app, door, app.router.routes)
    outside = CORSMiddleware(gate, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    return _TokenInPath(socketio.ASGIApp(sockets.server, outside))


def _answer_errors(app: FastAPI) -> None:
    """As `{error}`, which is what old programs show."""

    def answer(error: type[Exception], status: int, say: Callable[[Any], str]) -> None:
        async def handler(_: Request, raised: Exception) -> JSONResponse:
            return _error(getattr(raised, "status_code", status), say(raised))

        app.add_exception_handler(error, handler)

    answer(HTTPException, 500, lambda error: str(error.detail))
    answer(RequestValidationError, 400, _what_is_wrong)
    answer(SQLAlchemyError, 503, lambda _: _DATABASE_AWAY)
    answer(DatabaseDown, 503, lambda _: _DATABASE_AWAY)
    answer(Exception, 500, lambda _: "a fault in the dashboard: see its log")


class _Door:
    """Who comes in: a program with a token of its own, or a person with that of a login."""

    def __init__(self, accounts: Accounts, now: Callable[[], datetime]) -> None:
        self._accounts, self._now = accounts, now
        self._logins = CapacityLimiter(2)  # each takes a core for a quarter of a second

    def who(self, token: str | None, address: str | None = None) -> Who | None:
        """Raises SQLAlchemyError: the database is away, and nothing is known."""
        if not token:
            return None
        program = self._accounts.identify(Visitor(bearer=token, address=address), self._now())
        return program or self._accounts.identify(Visitor(session=token, address=address), self._now())

    async def may_look(self, token: str | None) -> bool:
        """Whether whoever has this token may see the line."""
        try:
            who = await to_thread.run_sync(self.who, token)
        except SQLAlchemyError:
            return False
        return _LOOK_ON.allows(who) and not (who is not None and who.must_change)

    async def log_in(self, given: Login, request: Request) -> LoggedIn:
        """Five failures lock the name for five minutes."""
        address = request.client.host if request.client else None
        return await to_thread.run_sync(partial(self._log_in, given, address), limiter=self._logins)

    def _log_in(self, given: Login, address: str | None) -> LoggedIn:
        try:
            token = self._accounts.log_in(given.username, given.password, self._now(), address)
        except Refused as refused:
            raise HTTPException(401, text(refused.key, "en")) from None
        who = self.who(token, address)
        if who is None or who.user_id is None:
            raise HTTPException(401, text("login_refused", "en"))
        if who.must_change:
            raise HTTPException(403, _CHANGE)
        return LoggedIn(token=token, user=Person(id=who.user_id, username=who.name, role=TOLD[who.role]))

    def log_out(self, request: Request) -> dict[str, Any]:
        """The token serves no longer."""
        address = request.client.host if request.client else None
        self._accounts.log_out(request.state.who, request.state.token, self._now(), address)
        return {"status": "ok", "success": True}


class _TokenInPath:
    """A client that can send no header has its token in its address: `http://host:5000/t/<token>`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] in ("http", "websocket") and path.startswith(_IN_PATH):
            token, _, rest = path.removeprefix(_IN_PATH).partition("/")
            scope = {**scope, "root_path": f"{_IN_PATH}{token}", "token_in_path": token}
            if rest.startswith("socket.io"):  # which knows no root
                scope |= {"path": f"/{rest}", "root_path": ""}
        await self._app(scope, receive, send)


class _Gate:
    """Nobody gets past it whom the table of permissions does not let through."""

    def __init__(self, app: ASGIApp, door: _Door, routes: list[BaseRoute]) -> None:
        self._app, self._door, self._routes = app, door, tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refusal = await self._refusal(HTTPConnection(scope), self._rule(scope))
        if refusal is not None:
            return await refusal(scope, receive, send)
        return await self._app(scope, _limited(receive), _with_headers(send))

    def _rule(self, scope: Scope) -> Rule:
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return DOORS.get((scope["method"], getattr(route, "path", "")), UNKNOWN)
        return UNKNOWN

    async def _refusal(self, connection: HTTPConnection, rule: Rule) -> JSONResponse | None:
        length = connection.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MOST_BODY:
            return _error(413, f"a request may have {_MOST_BODY // 2**20} MiB: send smaller pictures")
        token = _token_of(connection)
        address = connection.client.host if connection.client else None
        try:
            who = None if rule.role is None else await to_thread.run_sync(partial(self._door.who, token, address))
        except SQLAlchemyError:
            return _error(503, _DATABASE_AWAY)
        connection.scope["state"] = {**connection.scope.get("state", {}), "who": who, "token": token}
        if who is not None and who.must_change:
            return _error(403, _CHANGE)
        if rule.allows(who):
            return None
        if who is None:
            return _error(401, _TOKEN_NEEDED)
        return _error(403, "this login or token may not do that")


def _token_of(connection: HTTPConnection) -> str | None:
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else connection.scope.get("token_in_path")


def _limited(receive: Receive) -> Receive:
    """Of a body whose length nobody said, no more than the rest may have."""
    taken = 0

    async def receiving() -> Any:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > _MOST_BODY else message

    return receiving


def _with_headers(send: Send) -> Send:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return sending


def _what_is_wrong(error: RequestValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(each) for each in first["loc"][1:])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)
