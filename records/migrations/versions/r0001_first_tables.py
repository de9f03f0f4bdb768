"""The first tables: inspections with their sides, actuations, pictures, logs, configuration, users and alerts."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "alerts",
    "system_config",
    "system_logs",
    "defect_images",
    "actuations",
    "inspection_sides",
    "inspections",
    "users",
)
_BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=3), "mysql")
_LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


def upgrade() -> None:
    _users()
    _inspections()
    _inspection_sides()
    _actuations()
    _defect_images()
    _system_logs()
    _system_config()
    _alerts()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _table(name: str, *items: sa.schema.SchemaItem) -> None:
    op.create_table(name, *items, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _key() -> sa.Column[int]:
    return sa.Column("id", _BIG_ID, primary_key=True)


def _must(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)


def _unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=f"uq_{table}_{'_'.join(columns)}")


def _by_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id", ondelete="SET NULL")


def _users() -> None:
    _table(
        "users",
        _key(),
        _must("username", sa.String(64)),
        _must("password_hash", sa.String(255)),
        _must("role", sa.String(16)),
        _must("active", sa.Boolean()),
        _must("created_at", _TIME),
        _may("last_login_at", _TIME),
        _unique("users", "username"),
    )


def _inspections() -> None:
    _table(
        "inspections",
        _key(),
        _must("verdict_id", sa.String(128)),
        _must("board_id", sa.String(128)),
        _may("serial", sa.String(128)),
        _must("camera_id", sa.String(64)),
        _must("defect_type", sa.String(128)),
        _must("category", sa.String(16)),
        _must("confidence", sa.Double()),
        _must("inspection_time", _TIME),
        _may("image_path", sa.String(255)),
        _must("boxes", sa.JSON()),
        _may("gpio_pin", sa.Integer()),
        _may("gpio_duration_ms", sa.Integer()),
        _must("status", sa.String(16)),
        _may("judged_at", _TIME),
        _must("received_at", _TIME),
        _may("latency_ms", sa.Double()),
        _may("model", sa.String(128)),
        _may("model_sha256", sa.String(64)),
        _may("user_id", _BIG_ID),
        _may("notes", sa.Text()),
        _unique("inspections", "verdict_id"),
        _by_user("inspections"),
    )
    _index("inspections", "inspection_time")
    _index("inspections", "inspection_time", "defect_type")
    _index("inspections", "board_id")
    _index("inspections", "serial")


def _inspection_sides() -> None:
    _table(
        "inspection_sides",
        _key(),
        _must("inspection_id", _BIG_ID),
        _must("camera_id", sa.String(64)),
        _must("frame_id", sa.String(128)),
        _must("captured_at", _TIME),
        _must("defect_type", sa.String(128)),
        _must("category", sa.String(16)),
        _must("confidence", sa.Double()),
        _may("anomaly_score", sa.Double()),
        _must("inference_time_ms", sa.Double()),
        _unique("inspection_sides", "inspection_id", "camera_id"),
        sa.ForeignKeyConstraint(
            ["inspection_id"], ["inspections.id"], name="fk_inspection_sides_inspection_id", ondelete="CASCADE"
        ),
    )


def _actuations() -> None:
    _table(
        "actuations",
        _key(),
        _must("verdict_id", sa.String(128)),
        _must("board_id", sa.String(128)),
        _must("category", sa.String(128)),
        _may("pin", sa.Integer()),
        _must("outcome", sa.String(16)),
        _may("fired_at", _TIME),
        _may("duration_ms", sa.Integer()),
        _may("latency_ms", sa.Double()),
        _must("received_at", _TIME),
        _unique("actuations", "verdict_id", "outcome"),
    )
    _index("actuations", "received_at")


def _defect_images() -> None:
    _table(
        "defect_images",
        _key(),
        _must("verdict_id", sa.String(128)),
        _must("board_id", sa.String(128)),
        _must("camera_id", sa.String(64)),
        _must("sha256", sa.String(64)),
        _must("path", sa.String(255)),
        _must("width", sa.Integer()),
        _must("height", sa.Integer()),
        _must("size_bytes", sa.Integer()),
        _must("received_at", _TIME),
        _unique("defect_images", "verdict_id", "camera_id"),
    )
    _index("defect_images", "sha256")


def _system_logs() -> None:
    _table(
        "system_logs",
        _key(),
        _must("digest", sa.String(64)),
        _must("level", sa.String(16)),
        _must("source", sa.String(64)),
        _must("message", _LONG_TEXT),
        _must("details", sa.JSON()),
        _must("logged_at", _TIME),
        _unique("system_logs", "digest"),
    )
    _index("system_logs", "logged_at")


def _system_config() -> None:
    _table(
        "system_config",
        sa.Column("key", sa.String(64), primary_key=True),
        _must("value", sa.JSON()),
        _must("updated_at", _TIME),
        _may("user_id", _BIG_ID),
        _by_user("system_config"),
    )


def _alerts() -> None:
    _table(
        "alerts",
        _key(),
        _must("kind", sa.String(64)),
        _must("subject", sa.String(128)),
        _must("level", sa.String(16)),
        _must("message", sa.Text()),
        _must("details", sa.JSON()),
        _must("raised_at", _TIME),
        _may("resolved_at", _TIME),
        _may("user_id", _BIG_ID),
        _by_user("alerts"),
    )
    _index("alerts", "kind", "subject")
    _index("alerts", "raised_at")
    _index("alerts", "resolved_at")
