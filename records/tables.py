"""The tables, as the code sees them. The migrations make them; a test holds the two together.

One database holds every line of a plant, so each row names its line: the root of its topics. `inspection_time`,
`local_date` and the hours of the statistics are what the clock on that line's wall showed, for people and programs that
read SQL; every other time is UTC. Times have milliseconds. Ids compare byte by byte on every database
(`utf8mb4_bin`), for a collation that takes `a` for `A` would take two boards for one.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from records.columns import ON_MYSQL, Base, BigId, Bytes, Id, Line, LocalTime, LongText
from records.people import OF_PEOPLE, ApiToken, AuditEntry, Review, ReviewSample, Session, SystemConfig, User

__all__ = (
    "OWNERS",
    "Actuation",
    "Alert",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BoardStatistics",
    "Defect",
    "DefectImage",
    "DefectStatistics",
    "Inspection",
    "InspectionSide",
    "LineState",
    "RejectedMessage",
    "Review",
    "ReviewSample",
    "Serial",
    "Session",
    "StatisticsHour",
    "SystemConfig",
    "SystemLog",
    "Trigger",
    "User",
    "YieldStatistics",
)


class Trigger(Base):
    """One pass of one board, announced; `open` until it has an inspection. `verdict_id` is the one its verdict has."""

    __tablename__ = "triggers"
    __table_args__ = (
        UniqueConstraint("line", "verdict_id"),
        Index(None, "line", "open", "received_at"),
        Index(None, "line", "triggered_at"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    verdict_id: Mapped[str] = mapped_column(Id)
    board_id: Mapped[str] = mapped_column(Id)
    source: Mapped[str] = mapped_column(Id)
    product: Mapped[str | None] = mapped_column(Id)
    triggered_at: Mapped[datetime]
    received_at: Mapped[datetime]
    open: Mapped[bool]


class Inspection(Base):
    """One pass of one board. `camera_id` is the side that decided, or `both`: no side, or more than one, did.

    Its pictures were taken at `inspection_time`, the wall time of the line; `captured_at` is the same moment in UTC,
    `local_date` its day. `image_path` is where the dashboard shows the deciding picture.

    A board whose verdict did not come in time has `status` missing, category unjudged and no `judged_at`, until the
    verdict comes after all.
    """

    __tablename__ = "inspections"
    __table_args__ = (
        UniqueConstraint("line", "verdict_id"),
        Index(None, "inspection_time"),
        Index(None, "inspection_time", "defect_type"),
        Index(None, "line", "inspection_time"),
        Index(None, "local_date", "defect_type", "line"),
        Index(None, "defect_type", "inspection_time"),
        Index(None, "camera_id", "inspection_time"),
        Index(None, "product", "inspection_time"),
        Index(None, "category", "inspection_time"),
        Index(None, "status", "inspection_time"),
        Index(None, "model", "inspection_time"),
        Index(None, "board_id"),
        Index(None, "serial"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    verdict_id: Mapped[str] = mapped_column(Id)
    board_id: Mapped[str] = mapped_column(Id)
    serial: Mapped[str | None] = mapped_column(Id)
    product: Mapped[str | None] = mapped_column(Id)
    recipe: Mapped[str | None] = mapped_column(Id)
    camera_id: Mapped[str] = mapped_column(String(64))
    defect_type: Mapped[str] = mapped_column(Id)
    category: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float]
    inspection_time: Mapped[datetime] = mapped_column(LocalTime)
    local_date: Mapped[date]
    captured_at: Mapped[datetime]
    image_path: Mapped[str | None] = mapped_column(String(255))
    boxes: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    gpio_pin: Mapped[int | None]
    gpio_duration_ms: Mapped[int | None]
    status: Mapped[str] = mapped_column(String(16))
    judged_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    latency_ms: Mapped[float | None]
    model: Mapped[str | None] = mapped_column(Id)
    model_sha256: Mapped[str | None] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="SET NULL"))
    notes: Mapped[str | None] = mapped_column(Text)


class InspectionSide(Base):
    """What was found on one side of an inspection. `quality` says why its picture could not be inspected."""

    __tablename__ = "inspection_sides"
    __table_args__ = (UniqueConstraint("inspection_id", "camera_id"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    inspection_id: Mapped[int] = mapped_column(BigId, ForeignKey("inspections.id", ondelete="CASCADE"))
    line: Mapped[str] = mapped_column(Line)
    camera_id: Mapped[str] = mapped_column(String(64))
    frame_id: Mapped[str] = mapped_column(Id)
    captured_at: Mapped[datetime]
    defect_type: Mapped[str] = mapped_column(Id)
    category: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float]
    anomaly_score: Mapped[float | None]
    inference_time_ms: Mapped[float]
    coverage: Mapped[float | None]
    quality: Mapped[str | None] = mapped_column(Text)


class Defect(Base):
    """One box of an inspection, in pixels of its picture; the same boxes stand in `inspections.boxes` as JSON."""

    __tablename__ = "defects"
    __table_args__ = (
        Index(None, "inspection_id"),
        Index(None, "line", "inspection_time", "class_name"),
        Index(None, "class_name", "inspection_time", "inspection_id"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    inspection_id: Mapped[int] = mapped_column(BigId, ForeignKey("inspections.id", ondelete="CASCADE"))
    line: Mapped[str] = mapped_column(Line)
    inspection_time: Mapped[datetime] = mapped_column(LocalTime)
    camera_id: Mapped[str] = mapped_column(String(64))
    class_name: Mapped[str] = mapped_column(String(64))
    confidence: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    x2: Mapped[float]
    y2: Mapped[float]


class Serial(Base):
    """What was read on one side of a pass, once for each serial; it may come before its verdict.

    `product` is what the serial says that the board is. `conflict`: `product`, the board is another; `serial`, there is
    another serial on this side; NULL where nothing contradicts it.
    """

    __tablename__ = "serials"
    __table_args__ = (
        UniqueConstraint("line", "verdict_id", "camera_id", "serial"),
        Index(None, "serial"),
        Index(None, "line", "conflict", "received_at"),
        Index(None, "line", "received_at"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    verdict_id: Mapped[str] = mapped_column(Id)
    board_id: Mapped[str] = mapped_column(Id)
    camera_id: Mapped[str] = mapped_column(String(64))
    serial: Mapped[str] = mapped_column(Id)
    symbology: Mapped[str] = mapped_column(String(64))
    product: Mapped[str | None] = mapped_column(Id)
    conflict: Mapped[str | None] = mapped_column(String(16))
    received_at: Mapped[datetime]


class Actuation(Base):
    """What became of a verdict at the gates: one row for each outcome that was reported."""

    __tablename__ = "actuations"
    __table_args__ = (UniqueConstraint("line", "verdict_id", "outcome"), Index(None, "line", "received_at"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    verdict_id: Mapped[str] = mapped_column(Id)
    board_id: Mapped[str] = mapped_column(Id)
    category: Mapped[str] = mapped_column(Id)
    pin: Mapped[int | None]
    outcome: Mapped[str] = mapped_column(String(16))
    fired_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None]
    latency_ms: Mapped[float | None]
    received_at: Mapped[datetime]


class DefectImage(Base):
    """A picture of one side, at `path` in the store once its `state` is stored. It may come before its verdict.

    `kind` is `frame`, or `heat` for the map that is laid over it. `state`: pending (on the recorder's disk), stored,
    removing, removed.
    """

    __tablename__ = "defect_images"
    __table_args__ = (
        UniqueConstraint("line", "verdict_id", "camera_id", "kind"),
        Index(None, "sha256"),
        Index(None, "line", "state", "received_at"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    verdict_id: Mapped[str] = mapped_column(Id)
    board_id: Mapped[str] = mapped_column(Id)
    camera_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(255))
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    received_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class BoardStatistics(Base):
    """Boards by category in one hour of the line's wall clock, counted from the rows; a day is the sum of its hours."""

    __tablename__ = "board_statistics"
    __table_args__ = (ON_MYSQL,)

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    begins_at: Mapped[datetime] = mapped_column(LocalTime, primary_key=True)
    category: Mapped[str] = mapped_column(String(16), primary_key=True)
    boards: Mapped[int]
    incomplete: Mapped[int]
    latency_ms_sum: Mapped[float]
    latency_ms_max: Mapped[float]


class DefectStatistics(Base):
    """Boxes by class and side in one hour of the line's wall clock, and on how many boards they were."""

    __tablename__ = "defect_statistics"
    __table_args__ = (ON_MYSQL,)

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    begins_at: Mapped[datetime] = mapped_column(LocalTime, primary_key=True)
    camera_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    class_name: Mapped[str] = mapped_column(String(64), primary_key=True)
    boxes: Mapped[int]
    boards: Mapped[int]


class YieldStatistics(Base):
    """Boards by product, model, deciding side and category in one hour; product and model are empty where unknown."""

    __tablename__ = "yield_statistics"
    __table_args__ = (ON_MYSQL,)

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    begins_at: Mapped[datetime] = mapped_column(LocalTime, primary_key=True)
    product: Mapped[str] = mapped_column(Id, primary_key=True)
    model: Mapped[str] = mapped_column(Id, primary_key=True)
    camera_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    category: Mapped[str] = mapped_column(String(16), primary_key=True)
    boards: Mapped[int]


class StatisticsHour(Base):
    """How often rows of an hour were written, and up to which time the statistics count them: else it is counted."""

    __tablename__ = "statistics_hours"
    __table_args__ = (ON_MYSQL,)

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    begins_at: Mapped[datetime] = mapped_column(LocalTime, primary_key=True)
    touched: Mapped[int] = mapped_column(BigInteger)
    counted: Mapped[int] = mapped_column(BigInteger)


class RejectedMessage(Base):
    """What could not become a row, and why. `payload` is its beginning; `digest` the SHA-256 of topic and payload."""

    __tablename__ = "rejected_messages"
    __table_args__ = (UniqueConstraint("line", "digest"), Index(None, "line", "received_at"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    digest: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    topic: Mapped[str] = mapped_column(String(255))
    verdict_id: Mapped[str | None] = mapped_column(Id)
    reason: Mapped[str] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text)
    payload: Mapped[bytes] = mapped_column(Bytes)
    size_bytes: Mapped[int]
    received_at: Mapped[datetime]


class SystemLog(Base):
    """An event of a node. `digest` is the payload's SHA-256, so that a repeated delivery is one row."""

    __tablename__ = "system_logs"
    __table_args__ = (UniqueConstraint("line", "digest"), Index(None, "line", "logged_at"), ON_MYSQL)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    digest: Mapped[str] = mapped_column(String(64))
    level: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(LongText)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    logged_at: Mapped[datetime]


class Alert(Base):
    """Something that a person has to look at, about `subject` (a node, a board, a disk), until it is resolved.

    The recorder raises it, and resolves it once its cause is gone; a person may acknowledge or resolve it before.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index(None, "line", "kind", "subject"),
        Index(None, "line", "resolved_at"),
        Index(None, "raised_at"),
        ON_MYSQL,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    line: Mapped[str] = mapped_column(Line)
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(Id)
    level: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    raised_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    user_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("users.id", ondelete="SET NULL"))


class LineState(Base):
    """What the recorder of a line remembers: when its clock was last believed, until when nothing goes by its age."""

    __tablename__ = "line_states"
    __table_args__ = (ON_MYSQL,)

    line: Mapped[str] = mapped_column(Line, primary_key=True)
    seen_at: Mapped[datetime]
    keep_until: Mapped[datetime | None]


OWNERS = {
    **dict.fromkeys(sorted(Base.metadata.tables), "recorder"),
    **dict.fromkeys(OF_PEOPLE, "dashboard"),
    "system_config": "dashboard, and `python -m recorder config`",
}
"""Who writes which table. People may also set `notes` and `user_id` of inspections, and acknowledge alerts.

The recorder's retention removes rows of each, but for `users`, `api_tokens` and `system_config`.
"""
