"""Heat maps beside the frames: `kind` tells the pictures of a board's side apart."""

import sqlalchemy as sa

from records.migrations.steps import add_column, must, reshape

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("defect_images", must("kind", sa.String(16), default="frame"))
    one_a_side = ("verdict_id", "camera_id")
    reshape("defect_images", add=(*one_a_side, "kind"), drop=one_a_side)
