"""Who may do what: one table of every route and method. What it does not name does not start."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from starlette.routing import BaseRoute, Route, WebSocketRoute

Role = Literal["viewer", "operator", "engineer", "admin"]
Scope = Literal["read", "inspect", "review", "command", "admin", "kiosk"]
ROLES: tuple[Role, ...] = get_args(Role)
SCOPES: tuple[Scope, ...] = get_args(Scope)
WEBSOCKET = "WS"


@dataclass(frozen=True, slots=True)
class Who:
    """A person, or a program with a token of that person's.

    Args:
        scopes: of the token; None: a person, with a password.
        must_change: the password, before anything else.
    """

    name: str
    role: Role
    user_id: int | None = None
    scopes: frozenset[str] | None = None
    must_change: bool = False

    @property
    def is_kiosk(self) -> bool:
        """A wall screen: it looks on, and is nobody."""
        return self.scopes is not None and "kiosk" in self.scopes

    def at_least(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks for.

    Args:
        role: the least; None: nothing, it answers strangers.
        scope: that a token needs besides; None: no token serves.
        kiosk: whether wall screens may.
        unchanged: also before a password that has to be changed is.
    """

    role: Role | None
    scope: Scope | None = None
    kiosk: bool = False
    unchanged: bool = False

    def allows(self, who: Who | None) -> bool:
        if self.role is None:
            return True
        if who is None:
            return False
        if who.is_kiosk:
            return self.kiosk
        return who.at_least(self.role) and (who.scopes is None or self.scope in who.scopes)


_ANYBODY = Rule(None)
_SCREEN = Rule("viewer", "read", kiosk=True)
_READ = Rule("viewer", "read")
_EXPORT = Rule("operator", "read")
_REVIEW = Rule("operator", "review")
_INSPECT = Rule("operator", "inspect")
_OWN = Rule("viewer", unchanged=True)
_USERS = Rule("admin")
_USERS_OF_OLD = Rule("admin", "admin")

UNKNOWN = Rule("viewer", "read", kiosk=True, unchanged=True)
"""Of addresses that are not there, which is nothing that strangers are told."""

TABLE: Mapping[tuple[str, str], Rule] = {
    ("GET", "/health"): _ANYBODY,
    ("GET", "/login"): _ANYBODY,
    ("POST", "/login"): _ANYBODY,
    ("GET", "/static/{name}"): _ANYBODY,
    ("GET", "/screen.css"): _ANYBODY,
    ("GET", "/kiosk/{token}"): _ANYBODY,
    ("POST", "/logout"): _OWN,
    ("GET", "/account"): _OWN,
    ("POST", "/account/password"): _OWN,
    ("POST", "/account/kiosks"): Rule("engineer"),
    ("POST", "/account/kiosks/{link_id}/revoke"): Rule("engineer"),
    ("GET", "/"): _SCREEN,
    ("GET", "/live/judged"): _SCREEN,
    (WEBSOCKET, "/live"): _SCREEN,
    ("GET", "/api/live"): _SCREEN,
    ("GET", "/review"): _REVIEW,
    ("POST", "/review/next"): _REVIEW,
    ("POST", "/review/undo"): _REVIEW,
    ("GET", "/review/{verdict_id}"): _REVIEW,
    ("POST", "/review/{verdict_id}"): _REVIEW,
    ("POST", "/review/{verdict_id}/back"): _REVIEW,
    ("GET", "/pictures/{verdict_id}/{side}/{kind}"): _READ,
    ("GET", "/history"): _READ,
    ("GET", "/history/{inspection_id}"): _READ,
    ("GET", "/statistics"): _READ,
    ("GET", "/export/boards.csv"): _EXPORT,
    ("GET", "/export/boards.xlsx"): _EXPORT,
    ("GET", "/nodes"): Rule("viewer"),
    ("POST", "/nodes/actuator/disarm"): Rule("operator", "command"),
    ("GET", "/nodes/{node}/snapshot.jpg"): Rule("engineer"),
    ("GET", "/nodes/{node}/{command}"): Rule("engineer"),
    ("POST", "/nodes/{node}/{command}"): Rule("engineer", "command"),
    ("GET", "/alerts"): Rule("viewer"),
    ("POST", "/alerts/{alert_id}/acknowledge"): Rule("operator"),
    ("POST", "/alerts/{alert_id}/resolve"): Rule("operator"),
    ("GET", "/settings"): Rule("engineer"),
    ("GET", "/settings/{key}"): Rule("engineer"),
    ("POST", "/settings/{key}"): Rule("engineer"),
    ("POST", "/settings/undo/{entry_id}"): Rule("engineer"),
    ("GET", "/users"): _USERS,
    ("POST", "/users"): _USERS,
    ("GET", "/users/{user_id}"): _USERS,
    ("POST", "/users/{user_id}"): _USERS,
    ("POST", "/users/{user_id}/active"): _USERS,
    ("POST", "/users/{user_id}/password"): _USERS,
    ("POST", "/users/{user_id}/sessions"): _USERS,
    ("POST", "/users/{user_id}/tokens"): _USERS,
    ("POST", "/users/{user_id}/tokens/{token_id}/revoke"): _USERS,
    ("GET", "/audit"): _USERS,
}

DOORS: Mapping[tuple[str, str], Rule] = {
    ("GET", "/health"): _ANYBODY,
    ("POST", "/api/auth/login"): _ANYBODY,
    ("POST", "/api/auth/logout"): Rule("viewer", unchanged=True),
    ("GET", "/openapi.json"): _READ,
    ("GET", "/api/inspections"): _READ,
    ("GET", "/api/statistics"): _READ,
    ("GET", "/api/defect-images/{inspection_id}"): _READ,
    ("GET", "/api/system-status"): _READ,
    ("GET", "/api/latest_results"): _READ,
    ("GET", "/video_feed/{side}"): _READ,
    ("POST", "/predict"): _INSPECT,
    ("POST", "/predict_dual"): _INSPECT,
    ("POST", "/api/config"): Rule("engineer", "command"),
    ("GET", "/api/users"): _USERS_OF_OLD,
    ("POST", "/api/users"): _USERS_OF_OLD,
    ("GET", "/api/users/logs"): _USERS_OF_OLD,
    ("GET", "/api/users/{user_id}"): _USERS_OF_OLD,
    ("PUT", "/api/users/{user_id}"): _USERS_OF_OLD,
    ("DELETE", "/api/users/{user_id}"): _USERS_OF_OLD,
    ("POST", "/api/users/{user_id}/reset-password"): _USERS_OF_OLD,
}
"""The same of the doors for programs of earlier generations, which are on a port of their own."""


def check(routes: Iterable[BaseRoute], table: Mapping[tuple[str, str], Rule] = TABLE) -> None:
    """Before the service starts.

    Raises:
        RuntimeError: a route is not in the table, or the table names one that is not there.
    """
    there = set().union(*map(keys_of, routes))
    if missing := there - table.keys():
        raise RuntimeError(f"dashboard/permissions.py does not say who may use {_named(missing)}")
    if stray := table.keys() - there:
        raise RuntimeError(f"dashboard/permissions.py names what is not there: {_named(stray)}")


def keys_of(route: BaseRoute) -> set[tuple[str, str]]:
    """As the table names it."""
    if isinstance(route, WebSocketRoute):
        return {(WEBSOCKET, route.path)}
    if isinstance(route, Route):
        return {(method, route.path) for method in route.methods or ()}
    raise RuntimeError(f"a {type(route).__name__} cannot be in the table of permissions: hang each route in by itself")


def _named(keys: set[tuple[str, str]]) -> str:
    return ", ".join(" ".join(key) for key in sorted(keys))
