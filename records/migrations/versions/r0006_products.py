"""What the trigger said is on the belt: a board whose verdict never comes has a product as well."""

import sqlalchemy as sa

from records.migrations.steps import add_column, may

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("triggers", may("product", sa.String(128)))
