"""Badges: a keyed fingerprint of what a person's badge says, so that a scan names them."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One more column, and no badge that two people share."""
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA"}[op.get_bind().dialect.name]
    op.execute(f"ALTER TABLE person ADD COLUMN badge {kind}")
    op.execute("CREATE UNIQUE INDEX person_badge ON person (badge) WHERE badge IS NOT NULL")
