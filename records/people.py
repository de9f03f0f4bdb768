"""The tables of what people do, as `records.tables` says it of the line's: who they are, and what they decided."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from records.columns import ON_MYSQL, Base, BigId, Id, Line, LocalTime

_Json = JSON(none_as_null=True)
_Sha256 = String(64)


class User(Base):
    """A person who may log in: a viewer, operator, engineer or admin.

    `client_login_at` is what a program of the earlier system says of its own logins, in wall time.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("username"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    active: Mapped[bool]
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    full_name: Mapped[str | None] = mapped_column(String(128))
    must_change_password: Mapped[bool] = mapped_column(default=False)
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    client_login_at: Mapped[datetime | None] = mapped_column(LocalTime)


class Session(Base):
    """A login that lasts. The token itself is known to the browser alone."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "expires_at"), ON_MYSQL)

    token_sha256: Mapped[str] = mapped_column(_Sha256, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    kiosk: Mapped[bool]


class ApiToken(Base):
    """What a program logs in with. `scopes`: of read, inspect, review, command, admin; or kiosk, of a wall screen."""

    __tablename__ = "api_tokens"
    __table_args__ = (UniqueConstraint("token_sha256"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    token_sha256: Mapped[str] = mapped_column(_Sha256)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditEntry(Base):
    """What a person changed. Rows are only ever added; they outlive the person's own."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "at"), Index(None, "action", "at"), Index(None, "username", "at"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str | None] = mapped_column(Line)
    at: Mapped[datetime]
    user_id: Mapped[int | None] = mapped_column(BigId)
    username: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    before: Mapped[Any | None] = mapped_column(_Json)
    after: Mapped[Any | None] = mapped_column(_Json)
    address: Mapped[str | None] = mapped_column(String(64))


class Review(Base):
    """What a person decided of one call of the line, or (`defect_id` NULL) of the board as a whole.

    `decision`: confirmed, false_call, other_class (then `class_name` is the right one), repaired, unsure; or missed, a
    defect that the line did not see, with its class, side and box in pixels. A verdict never changes; nor does a
    decision, but for `undone_at`.
    """

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "line", "verdict_id"), Index(None, "line", "decided_at"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    verdict_id: Mapped[str] = mapped_column(Id)
    defect_id: Mapped[int | None] = mapped_column(BigId)
    decision: Mapped[str] = mapped_column(String(16))
    class_name: Mapped[str | None] = mapped_column(String(64))
    camera_id: Mapped[str | None] = mapped_column(String(64))
    x1: Mapped[float | None]
    y1: Mapped[float | None]
    x2: Mapped[float | None]
    y2: Mapped[float | None]
    note: Mapped[str | None] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="SET NULL"))
    decided_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="SET NULL"))


class ReviewSample(Base):
    """A board that a person is to look at, and why: rejected, doubted or random.

    `category` is what the line said then, `weight` 1 by the probability that such a board is drawn; `taken_by` has it
    before them since `taken_at`.
    """

    __tablename__ = "review_samples"
    __table_args__ = (
        Index(None, "line", "done_at", "queued_at"),
        Index(None, "line", "done_at", "reason", "queued_at"),
        Index(None, "line", "inspection_time", "category", "reason", "done_at"),
        ON_MYSQL,
    )

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    verdict_id: Mapped[str] = mapped_column(Id, primary_key=True)
    inspection_time: Mapped[datetime] = mapped_column(LocalTime)
    reason: Mapped[str] = mapped_column(String(16))
    weight: Mapped[float]
    queued_at: Mapped[datetime]
    taken_by: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="SET NULL"))
    taken_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    category: Mapped[str] = mapped_column(String(16))


class SystemConfig(Base):
    """A value that the services of a line read while they run."""

    __tablename__ = "system_config"
    __table_args__ = (ON_MYSQL,)

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    updated_at: Mapped[datetime]
    user_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="SET NULL"))


OF_PEOPLE = tuple(each.__tablename__ for each in (User, Session, ApiToken, AuditEntry, Review, ReviewSample))
"""The tables that the dashboard writes."""
