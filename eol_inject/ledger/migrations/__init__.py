"""Alembic's scripts, packaged; ``eol_inject.ledger.migrate`` runs them without an ini file."""
