"""Badges that name a person by scan, and a slot's last attempts found at once."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """One more column, no badge that two people share, and an index by slot."""
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA"}[op.get_bind().dialect.name]
    op.execute(f"ALTER TABLE person ADD COLUMN badge {kind}")
    op.execute("CREATE UNIQUE INDEX person_badge ON person (badge) WHERE badge IS NOT NULL")
    op.execute("CREATE INDEX attempt_slot ON attempt (station, slot, n)")
