"""When a program of the earlier system last logged a person in: it writes that itself, by its own clock."""

from records.migrations.steps import TIME, add_column, may

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("users", may("client_login_at", TIME))
