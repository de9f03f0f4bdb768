"""Boards by product, model and side in each hour, and indexes for what is rare: as screens ask for them."""

import sqlalchemy as sa
from alembic import op

from records.migrations.steps import TIME, make_index, make_table, must, primary

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.String(128)
_LINE = sa.String(64)
_KEYS = ("line", "begins_at", "product", "model", "camera_id", "category")


def upgrade() -> None:
    make_index("inspections", "category", "inspection_time")
    make_index("inspections", "status", "inspection_time")
    make_index("inspections", "model", "inspection_time")
    make_index("defects", "class_name", "inspection_time", "inspection_id")
    make_table(
        "yield_statistics",
        primary("line", _LINE),
        primary("begins_at", TIME),
        primary("product", _ID),
        primary("model", _ID),
        primary("camera_id", sa.String(64)),
        primary("category", sa.String(16)),
        must("boards", sa.Integer()),
    )
    _count()


def _count() -> None:
    """What is recorded already; from now on the recorder counts."""
    counts = sa.table("yield_statistics", *(sa.column(name) for name in (*_KEYS, "boards")))
    row = sa.table("inspections", *(sa.column(name) for name in (*_KEYS, "inspection_time"))).c
    bind = op.get_bind()
    if bind.scalar(sa.select(sa.exists().select_from(counts))):
        return
    hour = sa.func.date_format(row.inspection_time, "%Y-%m-%d %H:00:00")
    if bind.dialect.name == "sqlite":
        hour = sa.func.strftime("%Y-%m-%d %H:00:00.000000", row.inspection_time)
    product, model = sa.func.coalesce(row.product, ""), sa.func.coalesce(row.model, "")
    keys = row.line, hour, product, model, row.camera_id, row.category
    found = sa.select(*keys, sa.func.count()).group_by(*keys)
    bind.execute(counts.insert().from_select([*_KEYS, "boards"], found))
