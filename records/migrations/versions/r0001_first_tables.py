"""The first tables: inspections with their sides, actuations, pictures, logs, configuration, users and alerts."""

import sqlalchemy as sa

from records.migrations.steps import (
    BIG_ID,
    LONG_TEXT,
    TIME,
    by_user,
    key,
    make_index,
    make_table,
    may,
    must,
    of_inspection,
    primary,
    unique,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _users()
    _inspections()
    _inspection_sides()
    _actuations()
    _defect_images()
    _system_logs()
    _system_config()
    _alerts()


def _users() -> None:
    make_table(
        "users",
        key(),
        must("username", sa.String(64)),
        must("password_hash", sa.String(255)),
        must("role", sa.String(16)),
        must("active", sa.Boolean()),
        must("created_at", TIME),
        may("last_login_at", TIME),
        unique("users", "username"),
    )


def _inspections() -> None:
    make_table(
        "inspections",
        key(),
        must("verdict_id", sa.String(128)),
        must("board_id", sa.String(128)),
        may("serial", sa.String(128)),
        must("camera_id", sa.String(64)),
        must("defect_type", sa.String(128)),
        must("category", sa.String(16)),
        must("confidence", sa.Double()),
        must("inspection_time", TIME),
        may("image_path", sa.String(255)),
        must("boxes", sa.JSON()),
        may("gpio_pin", sa.Integer()),
        may("gpio_duration_ms", sa.Integer()),
        must("status", sa.String(16)),
        may("judged_at", TIME),
        must("received_at", TIME),
        may("latency_ms", sa.Double()),
        may("model", sa.String(128)),
        may("model_sha256", sa.String(64)),
        may("user_id", BIG_ID),
        may("notes", sa.Text()),
        unique("inspections", "verdict_id"),
        by_user("inspections"),
    )
    make_index("inspections", "inspection_time")
    make_index("inspections", "inspection_time", "defect_type")
    make_index("inspections", "board_id")
    make_index("inspections", "serial")


def _inspection_sides() -> None:
    make_table(
        "inspection_sides",
        key(),
        must("inspection_id", BIG_ID),
        must("camera_id", sa.String(64)),
        must("frame_id", sa.String(128)),
        must("captured_at", TIME),
        must("defect_type", sa.String(128)),
        must("category", sa.String(16)),
        must("confidence", sa.Double()),
        may("anomaly_score", sa.Double()),
        must("inference_time_ms", sa.Double()),
        unique("inspection_sides", "inspection_id", "camera_id"),
        of_inspection("inspection_sides"),
    )


def _actuations() -> None:
    make_table(
        "actuations",
        key(),
        must("verdict_id", sa.String(128)),
        must("board_id", sa.String(128)),
        must("category", sa.String(128)),
        may("pin", sa.Integer()),
        must("outcome", sa.String(16)),
        may("fired_at", TIME),
        may("duration_ms", sa.Integer()),
        may("latency_ms", sa.Double()),
        must("received_at", TIME),
        unique("actuations", "verdict_id", "outcome"),
    )
    make_index("actuations", "received_at")


def _defect_images() -> None:
    make_table(
        "defect_images",
        key(),
        must("verdict_id", sa.String(128)),
        must("board_id", sa.String(128)),
        must("camera_id", sa.String(64)),
        must("sha256", sa.String(64)),
        must("path", sa.String(255)),
        must("width", sa.Integer()),
        must("height", sa.Integer()),
        must("size_bytes", sa.Integer()),
        must("received_at", TIME),
        unique("defect_images", "verdict_id", "camera_id"),
    )
    make_index("defect_images", "sha256")


def _system_logs() -> None:
    make_table(
        "system_logs",
        key(),
        must("digest", sa.String(64)),
        must("level", sa.String(16)),
        must("source", sa.String(64)),
        must("message", LONG_TEXT),
        must("details", sa.JSON()),
        must("logged_at", TIME),
        unique("system_logs", "digest"),
    )
    make_index("system_logs", "logged_at")


def _system_config() -> None:
    make_table(
        "system_config",
        primary("key", sa.String(64)),
        must("value", sa.JSON()),
        must("updated_at", TIME),
        may("user_id", BIG_ID),
        by_user("system_config"),
    )


def _alerts() -> None:
    make_table(
        "alerts",
        key(),
        must("kind", sa.String(64)),
        must("subject", sa.String(128)),
        must("level", sa.String(16)),
        must("message", sa.Text()),
        must("details", sa.JSON()),
        must("raised_at", TIME),
        may("resolved_at", TIME),
        may("user_id", BIG_ID),
        by_user("alerts"),
    )
    make_index("alerts", "kind", "subject")
    make_index("alerts", "raised_at")
    make_index("alerts", "resolved_at")
