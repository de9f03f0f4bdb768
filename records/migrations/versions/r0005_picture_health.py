"""How much of a side could be inspected, and why not all of it."""

import sqlalchemy as sa

from records.migrations.steps import add_column, may

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("inspection_sides", may("coverage", sa.Double()))
    add_column("inspection_sides", may("quality", sa.Text()))
