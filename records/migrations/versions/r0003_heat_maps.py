"""Heat maps beside the frames: `kind` tells the pictures of a board's side apart."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ONE_A_SIDE = "uq_defect_images_verdict_id_camera_id"
_ONE_OF_A_KIND = f"{_ONE_A_SIDE}_kind"


def upgrade() -> None:
    with op.batch_alter_table("defect_images") as images:
        images.add_column(sa.Column("kind", sa.String(16), nullable=False, server_default="frame"))
        images.create_unique_constraint(_ONE_OF_A_KIND, ["verdict_id", "camera_id", "kind"])
        images.drop_constraint(_ONE_A_SIDE, type_="unique")


def downgrade() -> None:
    """The files of the heat maps stay until the sweep finds that no row knows them."""
    op.execute("DELETE FROM defect_images WHERE kind <> 'frame'")
    with op.batch_alter_table("defect_images") as images:
        images.create_unique_constraint(_ONE_A_SIDE, ["verdict_id", "camera_id"])
        images.drop_constraint(_ONE_OF_A_KIND, type_="unique")
        images.drop_column("kind")
