"""Triggers, statistics and rejected messages; pictures that were removed; an index for one kind of defect."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=3), "mysql")
_BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql")


def upgrade() -> None:
    _triggers()
    _board_statistics()
    _defect_statistics()
    _rejected_messages()
    op.add_column("defect_images", sa.Column("removed_at", _TIME, nullable=True))
    op.create_index("ix_defect_images_removed_at_received_at", "defect_images", ["removed_at", "received_at"])
    op.create_index("ix_inspections_defect_type_inspection_time", "inspections", ["defect_type", "inspection_time"])


def downgrade() -> None:
    op.drop_index("ix_inspections_defect_type_inspection_time", "inspections")
    op.drop_index("ix_defect_images_removed_at_received_at", "defect_images")
    op.drop_column("defect_images", "removed_at")
    for table in ("rejected_messages", "defect_statistics", "board_statistics", "triggers"):
        op.drop_table(table)


def _table(name: str, *items: sa.schema.SchemaItem) -> None:
    op.create_table(name, *items, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")


def _key() -> sa.Column[int]:
    return sa.Column("id", _BIG_ID, primary_key=True)


def _must(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _triggers() -> None:
    _table(
        "triggers",
        _key(),
        _must("verdict_id", sa.String(128)),
        _must("board_id", sa.String(128)),
        _must("source", sa.String(128)),
        _must("triggered_at", _TIME),
        _must("received_at", _TIME),
        _must("open", sa.Boolean()),
        sa.UniqueConstraint("verdict_id", name="uq_triggers_verdict_id"),
    )
    op.create_index("ix_triggers_open_received_at", "triggers", ["open", "received_at"])
    op.create_index("ix_triggers_triggered_at", "triggers", ["triggered_at"])


def _board_statistics() -> None:
    _table(
        "board_statistics",
        sa.Column("period", sa.String(8), primary_key=True),
        sa.Column("begins_at", _TIME, primary_key=True),
        sa.Column("category", sa.String(16), primary_key=True),
        _must("boards", sa.Integer()),
        _must("incomplete", sa.Integer()),
        _must("latency_ms_sum", sa.Double()),
        _must("latency_ms_max", sa.Double()),
    )


def _defect_statistics() -> None:
    _table(
        "defect_statistics",
        sa.Column("period", sa.String(8), primary_key=True),
        sa.Column("begins_at", _TIME, primary_key=True),
        sa.Column("camera_id", sa.String(64), primary_key=True),
        sa.Column("class_name", sa.String(64), primary_key=True),
        _must("boxes", sa.Integer()),
        _must("boards", sa.Integer()),
    )


def _rejected_messages() -> None:
    _table(
        "rejected_messages",
        _key(),
        _must("digest", sa.String(64)),
        _must("kind", sa.String(16)),
        _must("topic", sa.String(255)),
        _may("verdict_id", sa.String(128)),
        _must("reason", sa.String(64)),
        _must("detail", sa.Text()),
        _must("payload", _BYTES),
        _must("size_bytes", sa.Integer()),
        _must("received_at", _TIME),
        sa.UniqueConstraint("digest", name="uq_rejected_messages_digest"),
    )
    op.create_index("ix_rejected_messages_received_at", "rejected_messages", ["received_at"])


def _may(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=True)
