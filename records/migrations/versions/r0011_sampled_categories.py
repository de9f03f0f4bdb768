"""What the line said of a board that is queued: the sample is counted by it, for which no board is looked up."""

import sqlalchemy as sa
from alembic import op

from records.migrations.steps import add_column, commit, drop_index, make_index, must, reshape

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_NAMES = ("line", "verdict_id", "category")


def upgrade() -> None:
    category = must("category", sa.String(16), default="")
    add_column("review_samples", category)
    samples, boards = (sa.table(name, *map(sa.column, _NAMES)) for name in ("review_samples", "inspections"))
    same = boards.c.line == samples.c.line, boards.c.verdict_id == samples.c.verdict_id
    said = sa.select(boards.c.category).where(*same).scalar_subquery()
    change = samples.update().values(category=sa.func.coalesce(said, "normal"))
    op.execute(change.where(samples.c.category == ""))
    commit()
    reshape("review_samples", [category])
    make_index("review_samples", "line", "inspection_time", "category", "reason", "done_at")
    drop_index("review_samples", "line", "inspection_time")
