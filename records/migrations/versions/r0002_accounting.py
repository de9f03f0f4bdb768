"""Triggers, statistics and rejected messages; pictures that were removed; an index for one kind of defect."""

import sqlalchemy as sa

from records.migrations.steps import BYTES, TIME, add_column, key, make_index, make_table, may, must, primary, unique

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _triggers()
    _board_statistics()
    _defect_statistics()
    _rejected_messages()
    add_column("defect_images", may("removed_at", TIME))
    make_index("defect_images", "removed_at", "received_at")
    make_index("inspections", "defect_type", "inspection_time")


def _triggers() -> None:
    make_table(
        "triggers",
        key(),
        must("verdict_id", sa.String(128)),
        must("board_id", sa.String(128)),
        must("source", sa.String(128)),
        must("triggered_at", TIME),
        must("received_at", TIME),
        must("open", sa.Boolean()),
        unique("triggers", "verdict_id"),
    )
    make_index("triggers", "open", "received_at")
    make_index("triggers", "triggered_at")


def _board_statistics() -> None:
    make_table(
        "board_statistics",
        primary("period", sa.String(8)),
        primary("begins_at", TIME),
        primary("category", sa.String(16)),
        must("boards", sa.Integer()),
        must("incomplete", sa.Integer()),
        must("latency_ms_sum", sa.Double()),
        must("latency_ms_max", sa.Double()),
    )


def _defect_statistics() -> None:
    make_table(
        "defect_statistics",
        primary("period", sa.String(8)),
        primary("begins_at", TIME),
        primary("camera_id", sa.String(64)),
        primary("class_name", sa.String(64)),
        must("boxes", sa.Integer()),
        must("boards", sa.Integer()),
    )


def _rejected_messages() -> None:
    make_table(
        "rejected_messages",
        key(),
        must("digest", sa.String(64)),
        must("kind", sa.String(16)),
        must("topic", sa.String(255)),
        may("verdict_id", sa.String(128)),
        must("reason", sa.String(64)),
        must("detail", sa.Text()),
        must("payload", BYTES),
        must("size_bytes", sa.Integer()),
        must("received_at", TIME),
        unique("rejected_messages", "digest"),
    )
    make_index("rejected_messages", "received_at")
