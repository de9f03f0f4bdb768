"""People, their logins, wall screens and programs: who somebody is, and what was changed by whom.

Tokens are random; the database knows only their SHA-256. Passwords are bcrypt, which the C# clients verify themselves.
"""

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import bcrypt
from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dashboard import audit
from dashboard.permissions import ROLES, Scope, Who
from pcb_bus.errors import BoardlineError
from records.database import for_reading, meaning
from records.people import ApiToken, Session, User

FIRST = "admin"
_ROUNDS = 12
_MOST_FAILURES, _LOCKED = 5, timedelta(minutes=5)
_SEEN_EVERY = timedelta(minutes=1)
_FRESH = timedelta(seconds=5)
_MOST_KNOWN = 1000
_SHORTEST, _LONGEST_BYTES = 10, 72  # bcrypt reads no more


class Refused(BoardlineError, ValueError):
    """What somebody asked for is not done; `key` is that of a text of `dashboard.texts`."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a request shows of itself: the tokens of a session, of a wall screen and of a program, and its address."""

    session: str | None = None
    kiosk: str | None = None
    bearer: str | None = None
    address: str | None = None

    @property
    def key(self) -> str:
        return _digest("\0".join(each or "" for each in (self.session, self.kiosk, self.bearer)))


class Link(NamedTuple):
    """A wall screen's, as a list of them shows it."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    who: Who | None
    until: datetime
    asked_at: datetime


class Accounts:
    """All that the dashboard knows of people. Any thread; every time is timezone-aware.

    Args:
        minutes: so long after the last request a session ends.
    """

    def __init__(self, engine: Engine, line: str, minutes: int) -> None:
        self._engine = engine
        self._line = line
        self._lasts = timedelta(minutes=minutes)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._nobody = hash_password(secrets.token_urlsafe())

    def make_first(self, password: str | None, now: datetime) -> str | None:
        """Where nobody may log in yet, an admin with this password or a made-up one, which has to be changed.

        Returns:
            The one that was made up, to be shown once.
        """
        with for_reading(self._engine).connect() as connection:
            if connection.scalar(select(User.id).limit(1)) is not None:
                return None
        chosen = password or secrets.token_urlsafe(12)
        row = {
            "username": FIRST, "password_hash": hash_password(chosen), "role": ROLES[-1], "active": True,
            "created_at": now, "must_change_password": password is None,
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(User).values(row))
                self._note(connection, Who(FIRST, ROLES[-1]), "first start", FIRST, now, None)
        except IntegrityError:  # the dashboard of another line was first
            return None
        return chosen if password is None else None

    def log_in(self, username: str, password: str, now: datetime, address: str | None) -> str:
        """The token of a new session.

        Each try counts before its password is looked at, so that many at once are no more than one after the other.

        Raises:
            Refused: wrong, locked or unknown: it does not say which.
        """
        user = self._begin_try(username, now, address)
        given = password.encode()[:_LONGEST_BYTES]
        right = bcrypt.checkpw(given, (user.password_hash if user else self._nobody).encode())
        if user is None or not right or len(password.encode()) > _LONGEST_BYTES:
            raise Refused("login_refused")
        token = secrets.token_urlsafe(32)
        with self._engine.begin() as connection:
            changes = {"failed_logins": 0, "locked_until": None, "last_login_at": now}
            connection.execute(update(User).where(User.id == user.id).values(changes))
            row = {
                "token_sha256": _digest(token),
                "user_id": user.id,
                "created_at": now,
                "seen_at": now,
                "kiosk": False,
            }
            connection.execute(insert(Session).values(row | {"expires_at": now + self._lasts}))
            self._note(connection, _person(user), "login", username, now, address)
        return token

    def log_out(self, who: Who, token: str | None, now: datetime, address: str | None) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(Session).where(Session.token_sha256 == _digest(token or "")))
            self._note(connection, who, "logout", who.name, now, address)
        self.forget()

    def identify(self, visitor: Visitor, now: datetime) -> Who | None:
        """Who that is. While the database is away, as it was known before.

        Raises:
            SQLAlchemyError: it is away, and nothing is known.
        """
        if not (visitor.session or visitor.kiosk or visitor.bearer):
            return None
        known = self._known.get(visitor.key)
        if known is not None and now - known.asked_at < _FRESH and now < known.until:
            return known.who
        try:
            who, until = self._look_up(visitor, now)
        except SQLAlchemyError as error:
            if known is None or now >= known.until or meaning(error) == "row":
                raise
            return known.who
        with self._lock:
            self._known[visitor.key] = _Known(who, until, now)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return who

    def change_password(self, who: Who, old: str, new: str, now: datetime, visitor: Visitor) -> None:
        """And end that person's other sessions.

        Raises:
            Refused: the old one is wrong, or the new one will not do.
        """
        check_password(new, who.name)
        user = self._begin_try(who.name, now, visitor.address)
        if user is None or not bcrypt.checkpw(old.encode()[:_LONGEST_BYTES], user.password_hash.encode()):
            raise Refused("password_wrong")
        if new == old:
            raise Refused("password_same")
        changes = {
            "password_hash": hash_password(new),
            "must_change_password": False,
            "failed_logins": 0,
            "locked_until": None,
        }
        with self._engine.begin() as connection:
            connection.execute(update(User).where(User.id == user.id).values(changes))
            others = Session.user_id == user.id, Session.token_sha256 != _digest(visitor.session or "")
            connection.execute(delete(Session).where(*others))
            self._note(connection, who, "password changed", who.name, now, visitor.address)
        self.forget()

    def make_token(
        self,
        who: Who,
        name: str,
        scopes: Sequence[Scope],
        now: datetime,
        address: str | None,
        *,
        owner: int | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """For a program or a wall screen. It is shown once; the database does not know it.

        Args:
            owner: the user whose rights it has; None: whoever makes it.
            expires_at: None: it holds until it is revoked.

        Raises:
            Refused: it has no name.
        """
        if not name.strip() or not name.isprintable() or len(name) > 64:
            raise Refused("name_wrong")
        token = secrets.token_urlsafe(24)
        row: dict[str, Any] = {"name": name.strip(), "token_sha256": _digest(token), "scopes": list(scopes)}
        row |= {"user_id": owner or who.user_id, "expires_at": expires_at}
        with self._engine.begin() as connection:
            connection.execute(insert(ApiToken).values(row | {"created_at": now}))
            after = {
                "scopes": list(scopes),
                "expires_at": expires_at and expires_at.isoformat(),
                "user_id": row["user_id"],
            }
            self._note(connection, who, "token made", name, now, address, after=after)
        return token

    def kiosks(self) -> list[Link]:
        """The links of wall screens that hold, oldest first."""
        columns = ApiToken.id, ApiToken.name, ApiToken.created_at, ApiToken.last_used_at
        query = select(*columns, ApiToken.scopes).where(ApiToken.revoked_at.is_(None)).order_by(ApiToken.id)
        with for_reading(self._engine).connect() as connection:
            return [Link(*row[:4]) for row in connection.execute(query) if "kiosk" in row.scopes]

    def revoke(self, who: Who, token_id: int, now: datetime, address: str | None, *, screens: bool = False) -> None:
        """It serves no longer.

        Args:
            screens: only that of a wall screen may be meant.

        Raises:
            Refused: there is none.
        """
        with self._engine.begin() as connection:
            there = ApiToken.id == token_id, ApiToken.revoked_at.is_(None)
            found = connection.execute(select(ApiToken.name, ApiToken.scopes).where(*there)).first()
            if found is None or (screens and "kiosk" not in found.scopes):
                raise Refused("not_there")
            connection.execute(update(ApiToken).where(*there).values(revoked_at=now))
            self._note(connection, who, "token revoked", found.name, now, address)
        self.forget()

    def _begin_try(self, username: str, now: datetime, address: str | None) -> User | None:
        """The user, whose try is counted as a failure until it succeeds; None: unknown, or locked."""
        with self._engine.begin() as connection:
            query = select(User).where(User.username == username, User.active).with_for_update()
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            user = User(**row)
            if user.locked_until is not None and now < user.locked_until:
                return None
            failures = 1 if user.locked_until is not None else user.failed_logins + 1
            locked = now + _LOCKED if failures >= _MOST_FAILURES else None
            changes = {"failed_logins": failures, "locked_until": locked}
            connection.execute(update(User).where(User.id == user.id).values(changes))
            if locked is not None:
                self._note(connection, _person(user), "last try before the lock", username, now, address)
            return user

    def _look_up(self, visitor: Visitor, now: datetime) -> tuple[Who | None, datetime]:
        if visitor.bearer:
            return self._of_token(visitor.bearer, now, kiosk=False)
        if visitor.session and (found := self._of_session(visitor.session, now))[0] is not None:
            return found
        return self._of_token(visitor.kiosk, now, kiosk=True) if visitor.kiosk else (None, now)

    def _of_session(self, token: str, now: datetime) -> tuple[Who | None, datetime]:
        digest = _digest(token)
        query = select(Session.seen_at, User).join(User, User.id == Session.user_id)
        query = query.where(Session.token_sha256 == digest, Session.expires_at > now, User.active)
        with for_reading(self._engine).connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None, now
        seen_at, user = row["seen_at"], User(**{key: value for key, value in row.items() if key != "seen_at"})
        if now - seen_at > _SEEN_EVERY:
            with self._engine.begin() as connection:
                changes = {"seen_at": now, "expires_at": now + self._lasts}
                connection.execute(update(Session).where(Session.token_sha256 == digest).values(changes))
        return _person(user), now + self._lasts

    def _of_token(self, token: str, now: datetime, *, kiosk: bool) -> tuple[Who | None, datetime]:
        query = select(ApiToken, User.username, User.role).join(User, User.id == ApiToken.user_id)
        query = query.where(ApiToken.token_sha256 == _digest(token), ApiToken.revoked_at.is_(None), User.active)
        with for_reading(self._engine).connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None or (row["expires_at"] or now + self._lasts) <= now or ("kiosk" in row["scopes"]) != kiosk:
            return None, now
        if row["last_used_at"] is None or now - row["last_used_at"] > _SEEN_EVERY:
            with self._engine.begin() as connection:
                connection.execute(update(ApiToken).where(ApiToken.id == row["id"]).values(last_used_at=now))
        name, role = (row["name"], ROLES[0]) if kiosk else (row["username"], row["role"])
        return Who(name, role, row["user_id"], frozenset(row["scopes"])), row["expires_at"] or now + timedelta(days=1)

    def _note(
        self,
        connection: Connection,
        who: Who,
        action: str,
        subject: str,
        now: datetime,
        address: str | None,
        **values: Any,
    ) -> None:
        audit.note(connection, self._line, who, audit.Change(action, subject, **values), now, address)

    def forget(self) -> None:
        """Who somebody is, is looked up again: it was changed."""
        with self._lock:
            self._known.clear()


def check_password(password: str, username: str) -> None:
    """Raises Refused: too short, too long for bcrypt, or the name."""
    if len(password) < _SHORTEST:
        raise Refused("password_short")
    if len(password.encode()) > _LONGEST_BYTES:
        raise Refused("password_long")
    if username.casefold() in password.casefold() and len(username) * 2 > len(password):
        raise Refused("password_name")


def _person(user: User) -> Who:
    return Who(user.username, user.role, user.id, must_change=user.must_change_password)  # type: ignore[arg-type]


def hash_password(password: str) -> str:
    """By bcrypt."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
