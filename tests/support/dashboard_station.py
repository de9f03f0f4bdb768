"""A dashboard that runs, with people of every role, and how to visit it."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from sqlalchemy import Engine, insert

from broker import Broker
from dashboard import accounts
from dashboard.permissions import Role, Scope, Who
from dashboard.service import DashboardService
from dashboard.settings import DashboardLine
from records.tables import User

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # a client makes one of its own otherwise, which takes its time
PASSWORD = "a long password"


def add_user(engine: Engine, name: str, role: Role, password: str = PASSWORD) -> int:
    row = {"username": name, "password_hash": accounts.hash_password(password), "role": role, "active": True}
    with engine.begin() as connection:
        added = connection.execute(insert(User).values(row | {"created_at": datetime.now(UTC)}))
    return int(added.inserted_primary_key[0])  # type: ignore[index]


@dataclass(frozen=True)
class Station:
    """A dashboard that runs, and what stands around it."""

    service: DashboardService
    settings: DashboardLine
    broker: Broker
    engine: Engine
    ids: dict[str, int]

    @property
    def address(self) -> str:
        return self.service.server.address.rstrip("/")

    @property
    def doors(self) -> str:
        """Where programs of earlier generations go."""
        assert self.service.doors is not None
        return self.service.doors.address.rstrip("/")

    @property
    def cookie(self) -> str:
        return f"boardline_{self.settings.dashboard.port}"

    def session(self, role: Role) -> str:
        """The token of a new login."""
        return self.service.accounts.log_in(role, PASSWORD, datetime.now(UTC), None)

    def token(self, role: Role, *scopes: Scope) -> str:
        who = Who(role, role, self.ids[role])
        return self.service.accounts.make_token(who, "test", scopes, datetime.now(UTC), None)

    def visit(self, role: Role | None = None, **cookies: str) -> httpx.Client:
        """A browser, but for its drawing: it says where its requests come from. Of a role: logged in."""
        if role is not None:
            cookies[self.cookie] = self.session(role)
        headers = {"origin": self.address, "accept": "text/html", "accept-language": "en"}
        return httpx.Client(base_url=self.address, headers=headers, cookies=cookies, verify=_NO_TLS)
