"""What people do: how they log in, what they changed, and what they decided of boards."""

import sqlalchemy as sa

from records.migrations.steps import (
    BIG_ID,
    TIME,
    add_column,
    by_user,
    key,
    make_index,
    make_table,
    may,
    must,
    primary,
    reshape,
    unique,
)

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LINE = sa.String(64)
_NAME = sa.String(64)
_ID = sa.String(128)
_SHA256 = sa.String(64)


def upgrade() -> None:
    _users()
    _logins()
    make_table(
        "audit_log",
        key(),
        may("line", _LINE),
        must("at", TIME),
        may("user_id", BIG_ID),
        must("username", _NAME),
        must("action", _NAME),
        must("subject", sa.String(255)),
        may("before", sa.JSON()),
        may("after", sa.JSON()),
        may("address", _NAME),
    )
    make_index("audit_log", "at")
    make_index("audit_log", "action", "at")
    make_index("audit_log", "username", "at")
    _reviews()


def _users() -> None:
    add_column("users", may("full_name", sa.String(128)))
    required = must("must_change_password", sa.Boolean(), default="0"), must("failed_logins", sa.Integer(), default="0")
    for column in required:
        add_column("users", column)
    add_column("users", may("locked_until", TIME))
    reshape("users", required)


def _logins() -> None:
    make_table(
        "sessions",
        primary("token_sha256", _SHA256),
        must("user_id", BIG_ID),
        must("created_at", TIME),
        must("seen_at", TIME),
        must("expires_at", TIME),
        must("kiosk", sa.Boolean()),
        by_user("sessions", ondelete="CASCADE"),
    )
    make_index("sessions", "expires_at")
    make_table(
        "api_tokens",
        key(),
        must("name", _NAME),
        must("token_sha256", _SHA256),
        must("scopes", sa.JSON()),
        must("user_id", BIG_ID),
        must("created_at", TIME),
        may("expires_at", TIME),
        may("last_used_at", TIME),
        may("revoked_at", TIME),
        unique("api_tokens", "token_sha256"),
        by_user("api_tokens", ondelete="CASCADE"),
    )


def _reviews() -> None:
    make_table(
        "reviews",
        key(),
        must("line", _LINE),
        must("verdict_id", _ID),
        may("defect_id", BIG_ID),
        must("decision", sa.String(16)),
        may("class_name", _NAME),
        may("camera_id", _NAME),
        *(may(edge, sa.Double()) for edge in ("x1", "y1", "x2", "y2")),
        may("note", sa.Text()),
        may("user_id", BIG_ID),
        must("decided_at", TIME),
        may("undone_at", TIME),
        may("undone_by", BIG_ID),
        by_user("reviews"),
        by_user("reviews", "undone_by"),
    )
    make_index("reviews", "line", "verdict_id")
    make_index("reviews", "line", "decided_at")
    make_table(
        "review_samples",
        primary("line", _LINE),
        primary("verdict_id", _ID),
        must("inspection_time", TIME),
        must("reason", sa.String(16)),
        must("weight", sa.Double()),
        must("queued_at", TIME),
        may("taken_by", BIG_ID),
        may("taken_at", TIME),
        may("done_at", TIME),
        by_user("review_samples", "taken_by"),
    )
    make_index("review_samples", "line", "done_at", "queued_at")
    make_index("review_samples", "line", "done_at", "reason", "queued_at")
    make_index("review_samples", "line", "inspection_time")
