"""The table of permissions, held against every route, for strangers, every role, programs and wall screens."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from support.dashboard_station import Station
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dashboard import nodes
from dashboard.permissions import ROLES, TABLE, WEBSOCKET, Role, Rule, Scope, Who, check

Key = tuple[str, str]
_LINKS: set[Key] = {("POST", "/account/kiosks"), ("POST", "/account/kiosks/{link_id}/revoke")}
_ADMINS: set[Key] = {key for key in TABLE if key[1].split("/")[1] in ("users", "audit")}
_ENGINEERS: set[Key] = _LINKS | {key for key in TABLE if key[1].startswith(("/nodes/{", "/settings"))}
_DISARM: Key = ("POST", "/nodes/actuator/disarm")
_OPERATORS: set[Key] = {_DISARM, *(key for key in TABLE if key[1].startswith("/alerts/"))}
_REVIEWS: set[Key] = {key for key in TABLE if key[1].startswith("/review")}
_EXPORTS: set[Key] = {key for key in TABLE if key[1].startswith("/export/")}
NOT_FOR: dict[Role, set[Key]] = {
    "viewer": _ENGINEERS | _OPERATORS | _REVIEWS | _ADMINS | _EXPORTS,
    "operator": _ENGINEERS | _ADMINS,
    "engineer": _ADMINS,
    "admin": set(),
}
FOR_SCREENS = {("GET", "/"), ("GET", "/live/judged"), (WEBSOCKET, "/live"), ("GET", "/api/live")}
_HISTORY: set[Key] = {key for key in TABLE if key[1].startswith(("/history", "/statistics"))} | _EXPORTS
FOR_READERS = {*FOR_SCREENS, *_HISTORY, ("GET", "/pictures/{verdict_id}/{side}/{kind}")}
FOR_STRANGERS = {
    *(("GET", each) for each in ("/health", "/login", "/static/{name}", "/screen.css", "/kiosk/{token}")),
    ("POST", "/login"),
}
_FILLED = {
    "{name}": "boardline.css",
    "{token}": "none",
    "{link_id}": "999999",
    "{user_id}": "999999",
    "{token_id}": "999999",
}


@pytest.fixture(scope="module", autouse=True)
def no_actuator() -> Iterator[None]:
    """Nobody waits for the answer of one that is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "_WAIT_S", 0.01)
        yield


def ask(station: Station, client: httpx.Client, method: str, path: str) -> int:
    """The status; 101 of a socket that is opened. A redirect to the login counts as 401."""
    for name, value in _FILLED.items():
        path = path.replace(name, value)
    if method == WEBSOCKET:
        cookies = "; ".join(f"{each.name}={each.value}" for each in client.cookies.jar)
        headers = {"Origin": station.address, "Cookie": cookies}
        if "authorization" in client.headers:
            headers["Authorization"] = client.headers["authorization"]
        try:
            with connect(f"ws{station.address[4:]}{path}", additional_headers=headers, proxy=None):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code
    answer = client.request(method, path)
    return 401 if answer.headers.get("location", "").startswith("/login?") else answer.status_code


def is_refused(status: int) -> bool:
    return status in (401, 403)


def allowed_to(station: Station, client: httpx.Client) -> set[Key]:
    """Every route that answers; the logout last, because it ends the visit."""
    keys = sorted(TABLE, key=lambda key: key == ("POST", "/logout"))
    return {key for key in keys if not is_refused(ask(station, client, *key))}


def test_a_stranger_gets_the_login_and_nothing_else(station: Station) -> None:
    with station.visit() as stranger:
        stranger.headers["accept"] = "application/json"
        assert allowed_to(station, stranger) == FOR_STRANGERS


@pytest.mark.parametrize("role", ROLES)
def test_a_person_may_what_the_role_may(station: Station, role: Role) -> None:
    with station.visit(role) as person:
        assert allowed_to(station, person) == set(TABLE) - NOT_FOR[role]


def test_a_wall_screen_looks_on_and_nothing_else(station: Station) -> None:
    kiosk = station.token("admin", "kiosk")
    with station.visit(None, **{f"{station.cookie}_screen": kiosk}) as screen:
        assert allowed_to(station, screen) == FOR_SCREENS | FOR_STRANGERS


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(("read",), FOR_READERS), (("review",), _REVIEWS), (("command",), {_DISARM, ("POST", "/nodes/{node}/{command}")})],
)
def test_a_program_may_what_its_token_is_for(station: Station, scopes: tuple[Scope, ...], allowed: set[Key]) -> None:
    with station.visit(None) as program:
        del program.headers["origin"]
        program.headers["authorization"] = f"Bearer {station.token('admin', *scopes)}"
        assert allowed_to(station, program) == allowed | FOR_STRANGERS


def test_the_token_of_a_wall_screen_is_none_of_a_program(station: Station) -> None:
    with station.visit() as program:
        program.headers["authorization"] = f"Bearer {station.token('admin', 'kiosk')}"
        assert is_refused(ask(station, program, "GET", "/api/live"))


def test_a_token_is_no_more_than_its_person() -> None:
    rule = Rule("engineer", "command")
    assert not rule.allows(Who("x", "operator", 1, frozenset({"command"})))
    assert rule.allows(Who("x", "engineer", 1, frozenset({"command"})))
    assert not Rule("viewer").allows(Who("x", "admin", 1, frozenset({"read"})))


async def nothing(_: object) -> None:
    """Of a route that is not asked."""


def test_a_route_without_an_entry_does_not_start() -> None:
    there = [Route(path, nothing, methods=[method]) for method, path in TABLE if method == "POST"]
    there += [_Get(path) for method, path in TABLE if method == "GET"]
    sockets = [WebSocketRoute("/live", nothing)]
    check([*there, *sockets])
    with pytest.raises(RuntimeError, match="does not say who may use DELETE /live, POST /live"):
        check([*there, *sockets, Route("/live", nothing, methods=["POST", "DELETE"])])
    with pytest.raises(RuntimeError, match=r"names what is not there: WS /live$"):
        check(there)
    with pytest.raises(RuntimeError, match="Mount cannot be in the table"):
        check([*there, *sockets, Mount("/more", routes=[])])


class _Get(Route):
    """As FastAPI makes them: without HEAD."""

    def __init__(self, path: str) -> None:
        super().__init__(path, nothing)
        self.methods = {"GET"}
