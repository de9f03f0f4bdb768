"""What an admin does with users: make, change, deactivate, reset; each change is in the audit log, before and after."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from dashboard import audit
from dashboard.accounts import Refused, check_password, hash_password
from dashboard.permissions import Role, Who
from records.database import for_reading
from records.people import ApiToken, Session, User

_ADMIN: Role = get_args(Role)[-1]
_LONGEST_NAME, _LONGEST_FULL_NAME = 64, 128
_SHOWN = ("username", "full_name", "role", "active")


@dataclass(frozen=True, slots=True)
class Act:
    """Who does it, when, and from which address."""

    who: Who
    now: datetime
    address: str | None = None


class Staff:
    """The users of the records. Any thread.

    Args:
        line: that the audit log names.
        forget: what is known of who is who, after a change.
    """

    def __init__(self, engine: Engine, line: str, forget: Callable[[], None]) -> None:
        self._engine, self._line, self._forget = engine, line, forget

    def all(self) -> list[User]:
        """By name; those that are active first."""
        query = select(User).order_by(User.active.desc(), User.username)
        with for_reading(self._engine).connect() as connection:
            return [User(**row) for row in connection.execute(query).mappings()]

    def get(self, user_id: int) -> User:
        """Raises Refused: there is none."""
        with for_reading(self._engine).connect() as connection:
            return _user(connection, user_id)

    def tokens(self, user_id: int) -> list[ApiToken]:
        """That hold, of one user, oldest first."""
        query = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None)).order_by(ApiToken.id)
        with for_reading(self._engine).connect() as connection:
            return [ApiToken(**row) for row in connection.execute(query).mappings()]

    def sessions(self, user_id: int, now: datetime) -> int:
        """How many logins of that user last."""
        query = select(func.count()).select_from(Session).where(Session.user_id == user_id, Session.expires_at > now)
        with for_reading(self._engine).connect() as connection:
            return connection.scalar(query) or 0

    def make(self, act: Act, username: str, full_name: str, role: Role, password: str | None) -> tuple[int, str]:
        """A new user.

        Args:
            password: None: one is made up, which has to be changed.

        Returns:
            The id, and the password, to be shown once.

        Raises:
            Refused: the name is taken or will not do, or the password.
        """
        name = _checked_name(username)
        chosen = _chosen(password, name)
        row = {
            "username": name, "full_name": _checked_full_name(full_name), "role": role, "active": True,
            "created_at": act.now, "password_hash": hash_password(chosen), "must_change_password": password is None,
        }  # fmt: skip
        try:
            with self._engine.begin() as connection:
                user_id = int(connection.execute(insert(User).values(row)).inserted_primary_key[0])  # type: ignore[index]
                self._note(connection, act, "user made", name, after={key: row[key] for key in _SHOWN})
        except IntegrityError:
            raise Refused("user_there") from None
        return user_id, chosen

    def change(self, act: Act, user_id: int, **values: Any) -> None:
        """Any of `full_name`, `role` and `active`.

        Raises:
            Refused: there is no such user, no admin would be left, or somebody would deactivate themselves.
        """
        if "full_name" in values:
            values["full_name"] = _checked_full_name(values["full_name"])
        with self._engine.begin() as connection:
            admins = set(connection.scalars(_active_admins()))
            user = _user(connection, user_id)
            before = {key: getattr(user, key) for key in _SHOWN}
            after = before | values
            if after == before:
                return
            if not after["active"] and user_id == act.who.user_id:
                raise Refused("user_oneself")
            if (after["role"], after["active"]) != (_ADMIN, True) and admins == {user_id}:
                raise Refused("user_last_admin")
            connection.execute(update(User).where(User.id == user_id).values(values))
            if not after["active"]:
                connection.execute(delete(Session).where(Session.user_id == user_id))
            self._note(connection, act, _name_of(before, after), user.username, before=before, after=after)
        self._forget()

    def reset_password(self, act: Act, user_id: int, password: str | None = None) -> str:
        """A new one; the user's sessions end, and a lock is lifted.

        Args:
            password: None: it is made up, and has to be changed.

        Returns:
            The password, to be shown once.

        Raises:
            Refused: there is no such user, or the password will not do.
        """
        with self._engine.begin() as connection:
            user = _user(connection, user_id)
            chosen = _chosen(password, user.username)
            changes = {"password_hash": hash_password(chosen), "must_change_password": password is None}
            changes |= {"failed_logins": 0, "locked_until": None}
            connection.execute(update(User).where(User.id == user_id).values(changes))
            connection.execute(delete(Session).where(Session.user_id == user_id))
            self._note(connection, act, "password reset", user.username)
        self._forget()
        return chosen

    def end_sessions(self, act: Act, user_id: int) -> None:
        """Every login of that user ends now.

        Raises:
            Refused: there is no such user.
        """
        with self._engine.begin() as connection:
            user = _user(connection, user_id)
            ended = connection.execute(delete(Session).where(Session.user_id == user_id)).rowcount
            self._note(connection, act, "sessions ended", user.username, before={"sessions": ended})
        self._forget()

    def _note(self, connection: Connection, act: Act, action: str, subject: str, **values: Any) -> None:
        audit.note(connection, self._line, act.who, audit.Change(action, subject, **values), act.now, act.address)


def _active_admins() -> Any:
    """Locked, so that two admins cannot remove each other at the same moment."""
    return select(User.id).where(User.role == _ADMIN, User.active).with_for_update()


def _user(connection: Connection, user_id: int) -> User:
    row = connection.execute(select(User).where(User.id == user_id)).mappings().first()
    if row is None:
        raise Refused("user_unknown")
    return User(**row)


def _name_of(before: dict[str, Any], after: dict[str, Any]) -> str:
    if before["active"] == after["active"]:
        return "user changed"
    return "user activated" if after["active"] else "user deactivated"


def _chosen(password: str | None, username: str) -> str:
    if password is None:
        return secrets.token_urlsafe(12)
    check_password(password, username)
    return password


def _checked_name(username: str) -> str:
    name = username.strip()
    if not name or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise Refused("user_name_wrong")
    return name


def _checked_full_name(full_name: str | None) -> str | None:
    name = (full_name or "").strip()
    if not name.isprintable() or len(name) > _LONGEST_FULL_NAME:
        raise Refused("user_full_name_wrong")
    return name or None
