"""The users' REST of earlier generations. Deleting is deactivating: who did what must stay known."""

from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import AliasChoices, BaseModel, Field

from dashboard import audit
from dashboard.accounts import Accounts, Refused
from dashboard.doors.answers import Answer, Moment
from dashboard.doors.rest import Line
from dashboard.permissions import Role
from dashboard.staff import Act, Staff
from dashboard.texts import text
from dashboard.users import days_of
from records.database import for_reading
from records.people import AuditEntry, User

TOLD: dict[Role, str] = {"viewer": "Viewer", "operator": "Operator", "engineer": "Operator", "admin": "Admin"}
"""The roles that old clients know."""
_MEANT: dict[str, Role] = {"viewer": "viewer", "operator": "operator", "engineer": "engineer", "admin": "admin"}
_STATUS = {"user_unknown": 404, "user_there": 409, "user_oneself": 409, "user_last_admin": 409}
_MOST_ENTRIES = 1000

_Id = Annotated[int, Path(ge=1, le=2**62)]
_RoleName = Literal["Viewer", "Operator", "Engineer", "Admin", "viewer", "operator", "engineer", "admin"]
_Password = Annotated[str, Field(min_length=1, max_length=200)]
_Day = Annotated[
    date | None, Query(description="YYYY-MM-DD, by the line's clock", ge=date(2000, 1, 1), le=date(9998, 1, 1))
]


def _either(snake: str, camel: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(snake, camel))


class NewUser(BaseModel):
    """Without a password, one is made up and answered."""

    username: Annotated[str, Field(max_length=200)]
    role: _RoleName = "Viewer"
    password: _Password | None = None
    full_name: Annotated[str | None, Field(max_length=200)] = _either("full_name", "fullName")


class ChangedUser(BaseModel):
    """What is left out stays as it is."""

    role: _RoleName | None = None
    full_name: Annotated[str | None, Field(max_length=200)] = _either("full_name", "fullName")
    is_active: bool | None = _either("is_active", "isActive")


class NewPassword(BaseModel):
    """Without one, it is made up and answered."""

    new_password: _Password | None = Field(
        default=None, validation_alias=AliasChoices("new_password", "newPassword", "password")
    )


class UserShown(Answer):
    """A user. An engineer is told as Operator."""

    id: int
    username: str
    full_name: str | None
    role: str
    is_active: bool
    created_at: Moment
    last_login: Moment | None


class Users(Answer):
    status: str = "ok"
    success: bool = True
    data: list[UserShown]
    users: list[UserShown]


class OneUser(Answer):
    """`password`: one that was made up, this once."""

    status: str = "ok"
    success: bool = True
    data: UserShown
    user: UserShown
    password: str | None = None


class LogEntry(Answer):
    id: int
    user_id: int | None
    username: str
    action_type: str
    description: str
    details: str
    ip_address: str | None
    created_at: Moment


class LogEntries(Answer):
    status: str = "ok"
    success: bool = True
    data: list[LogEntry]
    logs: list[LogEntry]


class UsersRest:
    """Addresses for admins with a login, or with a token for `admin`."""

    def __init__(self, line: Line, accounts: Accounts) -> None:
        self._line = line
        self._staff = Staff(line.engine, line.root, accounts.forget)

    def router(self) -> APIRouter:
        router = APIRouter()
        add = router.add_api_route
        add("/api/users", self.all, methods=["GET"])
        add("/api/users", self.make, methods=["POST"])
        add("/api/users/logs", self.logs, methods=["GET"])
        add("/api/users/{user_id}", self.one, methods=["GET"])
        add("/api/users/{user_id}", self.change, methods=["PUT"])
        add("/api/users/{user_id}", self.delete, methods=["DELETE"])
        add("/api/users/{user_id}/reset-password", self.reset_password, methods=["POST"])
        return router

    def all(self) -> Users:
        """Those that are deactivated too, at the end."""
        found = [self._shown(each) for each in self._staff.all()]
        return Users(data=found, users=found)

    def one(self, user_id: _Id) -> OneUser:
        return self._answer(user_id)

    def make(self, given: NewUser, request: Request) -> OneUser:
        """A password that is given holds; one that is made up has to be changed on the pages."""
        role = _MEANT[given.role.lower()]
        make = partial(self._staff.make, self._act(request), given.username, given.full_name or "", role)
        made, password = _or_refused(partial(make, given.password))
        return self._answer(made, password if given.password is None else None)

    def change(self, user_id: _Id, given: ChangedUser, request: Request) -> OneUser:
        values: dict[str, Any] = {"full_name": given.full_name, "active": given.is_active}
        if given.role is not None:
            before = _or_refused(partial(self._staff.get, user_id)).role
            # A client that was told Operator of an engineer says it again when it changes something else.
            values["role"] = before if TOLD.get(before) == given.role.title() else _MEANT[given.role.lower()]
        values = {key: value for key, value in values.items() if value is not None}
        _or_refused(partial(self._staff.change, self._act(request), user_id, **values))
        return self._answer(user_id)

    def delete(self, user_id: _Id, request: Request) -> OneUser:
        """Deactivated: the user can log in no longer, and what they did keeps their name."""
        _or_refused(partial(self._staff.change, self._act(request), user_id, active=False))
        return self._answer(user_id)

    def reset_password(self, user_id: _Id, request: Request, given: NewPassword | None = None) -> OneUser:
        """Ends the user's logins."""
        wanted = given.new_password if given else None
        password = _or_refused(partial(self._staff.reset_password, self._act(request), user_id, wanted))
        return self._answer(user_id, password if wanted is None else None)

    def logs(
        self,
        start_date: _Day = None,
        end_date: _Day = None,
        action_type: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_ENTRIES)] = 100,
    ) -> LogEntries:
        """The audit log, newest first."""
        since, until = days_of(start_date, end_date, self._line.zone)
        chosen = audit.Chosen(action=action_type or None, since=since, until=until)
        with for_reading(self._line.engine).connect() as connection:
            found = [self._entry(each) for each in audit.entries(connection, chosen, limit)]
        return LogEntries(data=found, logs=found)

    def _act(self, request: Request) -> Act:
        return Act(request.state.who, self._line.now(), request.client.host if request.client else None)

    def _answer(self, user_id: int, password: str | None = None) -> OneUser:
        user = self._shown(_or_refused(partial(self._staff.get, user_id)))
        return OneUser(data=user, user=user, password=password)

    def _shown(self, user: User) -> UserShown:
        zone, last = self._line.zone, user.last_login_at
        return UserShown(
            id=user.id,
            username=user.username,
            full_name=user.full_name,
            role=TOLD[user.role],  # type: ignore[index]
            is_active=user.active,
            created_at=user.created_at.astimezone(zone),
            last_login=last and last.astimezone(zone),
        )

    def _entry(self, row: AuditEntry) -> LogEntry:
        details = {"before": row.before, "after": row.after}
        return LogEntry(
            id=row.id,
            user_id=row.user_id,
            username=row.username,
            action_type=row.action,
            description=row.subject,
            details=audit.as_json({key: value for key, value in details.items() if value is not None}),
            ip_address=row.address,
            created_at=row.at.astimezone(self._line.zone),
        )


def _or_refused(do: Any) -> Any:
    try:
        return do()
    except Refused as refused:
        raise HTTPException(_STATUS.get(refused.key, 400), text(refused.key, "en")) from None
