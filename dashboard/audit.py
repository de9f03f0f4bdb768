"""The audit log: what people changed, written in the transaction of the change, and read in pages."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from dashboard.permissions import Who
from records.people import AuditEntry

_SUBJECT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to what; `before` and `after` are JSON."""

    action: str
    subject: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which entries; None is all. From `since` to before `until`; `older_than`: the id at the last page's end."""

    username: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    older_than: int | None = None


def note(connection: Connection, line: str, who: Who, change: Change, now: datetime, address: str | None) -> int:
    """Write it, in the transaction of what it tells of; the id of the entry."""
    row = {"line": line, "at": now, "user_id": who.user_id, "username": who.name, "action": change.action}
    row |= {"subject": change.subject[:_SUBJECT_LENGTH], "before": change.before, "after": change.after}
    added = connection.execute(insert(AuditEntry).values(row | {"address": address}))
    return int(added.inserted_primary_key[0])  # type: ignore[index]


def entries(connection: Connection, chosen: Chosen, limit: int) -> list[AuditEntry]:
    """Newest first."""
    row = AuditEntry
    equal = {row.username: chosen.username, row.action: chosen.action}
    wanted = [column == value for column, value in equal.items() if value is not None]
    wanted += [row.at >= chosen.since] if chosen.since else []
    wanted += [row.at < chosen.until] if chosen.until else []
    wanted += [row.id < chosen.older_than] if chosen.older_than else []
    query = select(row).where(*wanted).order_by(row.id.desc())
    return [AuditEntry(**each) for each in connection.execute(query.limit(limit)).mappings()]


def actions(connection: Connection) -> list[str]:
    """Those that there are."""
    return list(connection.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)))


def as_json(value: Any) -> str:
    """What was before or after, for people."""
    return json.dumps(value, ensure_ascii=False)
