"""A line in every row, times of the line's wall clock, a row for each defect, and the states of pictures.

What is there already belongs to the line that migrates; its times become those of that line's zone.
"""

import json
import logging
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

from records.migrations.steps import (
    BIG_ID,
    TIME,
    add_column,
    by_user,
    chunks,
    columns_of,
    commit,
    drop_index,
    key,
    make_index,
    make_table,
    may,
    must,
    of_inspection,
    primary,
    reshape,
)

log = logging.getLogger(__name__)

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LINE = sa.String(64)
_HOUR = "%Y-%m-%d %H:00:00"
# Each with its key of before, which the line now stands in front of.
_KEYS: dict[str, tuple[str, ...]] = {
    "triggers": ("verdict_id",),
    "inspections": ("verdict_id",),
    "inspection_sides": (),
    "actuations": ("verdict_id", "outcome"),
    "defect_images": ("verdict_id", "camera_id", "kind"),
    "rejected_messages": ("digest",),
    "system_logs": ("digest",),
    "alerts": (),
}
# Indexes of before that the line now stands in front of as well.
_INDEXES: dict[str, list[tuple[str, ...]]] = {
    "triggers": [("open", "received_at"), ("triggered_at",)],
    "actuations": [("received_at",)],
    "rejected_messages": [("received_at",)],
    "system_logs": [("logged_at",)],
    "alerts": [("kind", "subject"), ("resolved_at",)],
}
_inspections = sa.table(
    "inspections",
    sa.column("id", BIG_ID),
    sa.column("line", _LINE),
    sa.column("inspection_time", TIME),
    sa.column("local_date", sa.Date()),
    sa.column("captured_at", TIME),
    sa.column("image_path", sa.String(255)),
    sa.column("boxes", sa.JSON()),
)
_images = sa.table("defect_images", sa.column("state", sa.String(16)), sa.column("removed_at", TIME))


def upgrade() -> None:
    given = op.get_context().config
    assert given is not None
    line = given.attributes["line"]
    _add_columns(line)
    _local_times(given.attributes["zone"], given.attributes["image_url"])
    op.execute(_images.update().where(_images.c.removed_at.is_not(None)).values(state="removed"))
    commit()
    _finish()
    _defects()
    _statistics()
    _system_config(line)
    make_table("line_states", primary("line", _LINE), must("seen_at", TIME), may("keep_until", TIME))


def _add_columns(line: str) -> None:
    for table in _KEYS:
        add_column(table, must("line", _LINE, default=line))
    for column in (may("product", sa.String(128)), may("recipe", sa.String(128))):
        add_column("inspections", column)
    add_column("inspections", may("local_date", sa.Date()))
    add_column("inspections", may("captured_at", TIME))
    add_column("defect_images", must("state", sa.String(16), default="stored"))
    add_column("alerts", may("acknowledged_at", TIME))


def _local_times(zone: ZoneInfo, image_url: str) -> None:
    """Rows without `captured_at` have their time in UTC still."""
    row = _inspections.c
    todo = row.captured_at.is_(None)
    ends = sa.select(sa.func.min(row.inspection_time), sa.func.max(row.inspection_time))
    first, last = op.get_bind().execute(ends).one()
    if first is None:
        return
    # A row that is done already may widen this span by a day, which does no harm.
    spans = list(_spans(zone, first - timedelta(days=1), last + timedelta(days=1)))
    whens = [(row.inspection_time < until, offset) for until, offset in spans]
    seconds = sa.case(*whens, else_=spans[-1][1])
    local = _later(row.inspection_time, seconds)
    change = _inspections.update().where(todo)
    # In this order, for MySQL goes on with what it has just set.
    change = change.ordered_values(
        (row.captured_at, row.inspection_time),
        (row.local_date, sa.func.date(local)),
        (row.image_path, sa.literal(f"{image_url.rstrip('/')}/", sa.String) + row.image_path),
        (row.inspection_time, local),
    )
    for begin, end in chunks(_inspections, todo):
        op.execute(change.where(row.id.between(begin, end)))


def _spans(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[tuple[datetime, int]]:
    """(until, seconds east of UTC) of each span without a clock change between two moments in UTC."""

    def offset(utc: datetime) -> int:
        local = utc.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone)
        return round((local.utcoffset() or timedelta()).total_seconds())

    day = first.replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= last:
        before, after = day, day + timedelta(days=1)
        if offset(before) != offset(after):
            while after - before > timedelta(seconds=1):
                middle = before + (after - before) // timedelta(seconds=2) * timedelta(seconds=1)
                before, after = (middle, after) if offset(middle) == offset(day) else (before, middle)
            yield after, offset(day)
        day += timedelta(days=1)
    yield day, offset(day)


def _later(time: sa.ColumnElement[datetime], seconds: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    if op.get_bind().dialect.name == "mysql":
        return sa.func.timestampadd(sa.text("SECOND"), seconds, time)
    # SQLAlchemy keeps six digits after the second, SQLite makes three.
    return sa.func.strftime("%Y-%m-%d %H:%M:%f000", time, sa.cast(seconds, sa.String) + sa.literal(" seconds"))


def _finish() -> None:
    for table, before in _KEYS.items():
        required = [must("line", _LINE)]
        if table == "inspections":
            required += [must("local_date", sa.Date()), must("captured_at", TIME)]
        if table == "defect_images":
            required += [must("state", sa.String(16)), must("kind", sa.String(16))]
        reshape(table, required, add=("line", *before) if before else (), drop=before)
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            make_index(table, "line", *columns)
            drop_index(table, *columns)
    make_index("defect_images", "line", "state", "received_at")
    drop_index("defect_images", "removed_at", "received_at")
    make_index("inspections", "line", "inspection_time")
    make_index("inspections", "local_date", "defect_type", "line")
    make_index("inspections", "camera_id", "inspection_time")
    make_index("inspections", "product", "inspection_time")


def _defects() -> None:
    make_table(
        "defects",
        key(),
        must("inspection_id", BIG_ID),
        must("line", _LINE),
        must("inspection_time", TIME),
        must("camera_id", sa.String(64)),
        must("class_name", sa.String(64)),
        must("confidence", sa.Double()),
        *(must(edge, sa.Double()) for edge in ("x1", "y1", "x2", "y2")),
        of_inspection("defects"),
    )
    make_index("defects", "inspection_id")
    make_index("defects", "line", "inspection_time", "class_name")
    _fill_defects()


def _fill_defects() -> None:
    names = (
        "inspection_id",
        "line",
        "inspection_time",
        "camera_id",
        "class_name",
        "confidence",
        "x1",
        "y1",
        "x2",
        "y2",
    )
    defects = sa.table("defects", *(sa.column(name) for name in names))
    row = _inspections.c
    # Longer than `[]`, and not done already.
    todo = sa.func.length(row.boxes) > 2, ~sa.exists().where(defects.c.inspection_id == row.id)
    stored = sa.cast(row.boxes, sa.LargeBinary).label("boxes")  # whatever a program wrote there can be read as bytes
    for begin, end in chunks(_inspections):
        found = sa.select(row.id, row.line, row.inspection_time, stored).where(row.id.between(begin, end), *todo)
        rows = [defect for each in op.get_bind().execute(found).all() for defect in _defects_of(each)]
        if rows:
            op.get_bind().execute(defects.insert(), rows)


def _defects_of(inspection: Any) -> list[dict[str, Any]]:
    try:
        return [_defect(inspection, box) for box in json.loads(inspection.boxes)]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        log.warning("inspections.id %s: boxes is no list of complete boxes; it stays without defects", inspection.id)
        return []


def _defect(inspection: Any, box: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: float(box[name]) for name in ("confidence", "x1", "y1", "x2", "y2")}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError(box)
    # Encoded to see whether they are texts that a database takes.
    camera_id, class_name = (box[name].encode().decode()[:64] for name in ("camera_id", "class"))
    whose = {"inspection_id": inspection.id, "line": inspection.line, "inspection_time": inspection.inspection_time}
    return {**whose, **numbers, "camera_id": camera_id, "class_name": class_name}


def _statistics() -> None:
    """Made anew by hours of the wall clock. All hours are marked, so that the recorder counts them."""
    for table in ("board_statistics", "defect_statistics"):
        if "period" in columns_of(table):
            op.drop_table(table)
    make_table(
        "board_statistics",
        primary("line", _LINE),
        primary("begins_at", TIME),
        primary("category", sa.String(16)),
        must("boards", sa.Integer()),
        must("incomplete", sa.Integer()),
        must("latency_ms_sum", sa.Double()),
        must("latency_ms_max", sa.Double()),
    )
    make_table(
        "defect_statistics",
        primary("line", _LINE),
        primary("begins_at", TIME),
        primary("camera_id", sa.String(64)),
        primary("class_name", sa.String(64)),
        must("boxes", sa.Integer()),
        must("boards", sa.Integer()),
    )
    make_table(
        "statistics_hours",
        primary("line", _LINE),
        primary("begins_at", TIME),
        must("touched", sa.BigInteger()),
        must("counted", sa.BigInteger()),
    )
    _mark_hours()


def _mark_hours() -> None:
    names: tuple[sa.ColumnClause[Any], ...] = (
        sa.column("line", _LINE),
        sa.column("begins_at", TIME),
        sa.column("touched"),
        sa.column("counted"),
    )
    hours = sa.table("statistics_hours", *names)
    bind, row = op.get_bind(), _inspections.c
    hour = sa.func.date_format(row.inspection_time, _HOUR)
    if bind.dialect.name == "sqlite":
        hour = sa.func.strftime(_HOUR, row.inspection_time)
    there = {tuple(each) for each in bind.execute(sa.select(hours.c.line, hours.c.begins_at))}
    found = {(line, datetime.fromisoformat(text)) for line, text in bind.execute(sa.select(row.line, hour).distinct())}
    rows = [{"line": line, "begins_at": begin, "touched": 1, "counted": 0} for line, begin in sorted(found - there)]
    if rows:
        bind.execute(hours.insert(), rows)
    commit()


def _system_config(line: str) -> None:
    if op.get_bind().dialect.name == "mysql":
        add_column("system_config", must("line", _LINE, default=line))
        if sa.inspect(op.get_bind()).get_pk_constraint("system_config")["constrained_columns"] == ["key"]:
            op.execute("ALTER TABLE system_config DROP PRIMARY KEY, ADD PRIMARY KEY (line, `key`)")
        reshape("system_config", [must("line", _LINE)])
        return
    # SQLite cannot change a primary key.
    op.rename_table("system_config", "system_config_before")
    make_table(
        "system_config",
        primary("line", _LINE),
        primary("key", sa.String(64)),
        must("value", sa.JSON()),
        must("updated_at", TIME),
        may("user_id", BIG_ID),
        by_user("system_config"),
    )
    names = ["key", "value", "updated_at", "user_id"]
    before = sa.table("system_config_before", *(sa.column(name) for name in names))
    after = sa.table("system_config", *(sa.column(name) for name in ("line", *names)))
    op.execute(after.insert().from_select(["line", *names], sa.select(sa.literal(line), *before.c)))
    op.drop_table("system_config_before")
