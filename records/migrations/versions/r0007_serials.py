"""The serials that were read on the sides of a board."""

import sqlalchemy as sa

from records.migrations.steps import TIME, key, make_index, make_table, may, must, unique

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    make_table(
        "serials",
        key(),
        must("line", sa.String(64)),
        must("verdict_id", sa.String(128)),
        must("board_id", sa.String(128)),
        must("camera_id", sa.String(64)),
        must("serial", sa.String(128)),
        must("symbology", sa.String(64)),
        may("product", sa.String(128)),
        may("conflict", sa.String(16)),
        must("received_at", TIME),
        unique("serials", "line", "verdict_id", "camera_id", "serial"),
    )
    make_index("serials", "serial")
    make_index("serials", "line", "conflict", "received_at")
    make_index("serials", "line", "received_at")
