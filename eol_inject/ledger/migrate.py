"""Bring a ledger's schema to this version, or say why not."""

import sqlalchemy as sa

from eol_inject.errors import StationError
from eol_inject.ledger import schema

_VERSION = sa.table("schema_version", sa.column("version_num"))


def revision(conn: sa.Connection) -> str | None:
    """The schema's revision; None for a database without any table.

    Raises ``StationError("ledger.foreign")`` for a database that is not a ledger.
    """
    names = set(sa.inspect(conn).get_table_names())
    if not names:
        return None
    if not {"schema_version", "meta", "assignment"} <= names:
        raise StationError("ledger.foreign")
    return str(conn.execute(sa.select(_VERSION.c.version_num)).scalar_one_or_none())


def migrate(conn: sa.Connection) -> None:
    """Run the missing migrations on ``conn``, inside the caller's transaction.

    Raises ``StationError`` with ``ledger.foreign`` or ``ledger.newer_schema``.
    """
    found = revision(conn)
    if found == schema.REVISION:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "eol_inject.ledger:migrations")
    config.attributes["connection"] = conn
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StationError("ledger.newer_schema", found=found, known=schema.REVISION)
    command.upgrade(config, "head")
