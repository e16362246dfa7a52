"""Alembic's environment: one migration and its record in one transaction, on a given connection."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    # Alembic assumes that SQLite cannot roll back DDL; with a real BEGIN it can.
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
