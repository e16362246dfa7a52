"""Open a ledger, or make one: its schema, its identity for life, the right keys."""

import hmac
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UsageError
from eol_inject.ledger import sqlite
from eol_inject.ledger.book import Ledger, fresh_id, utc_now
from eol_inject.ledger.chain import Setup
from eol_inject.ledger.database import Database
from eol_inject.ledger.keys import Keys
from eol_inject.ledger.migrate import migrate
from eol_inject.ledger.model import Info, Kind
from eol_inject.ledger.schema import REVISION, meta
from eol_inject.ledger.vault import Vault

_SQLITE: Final = "sqlite:///"


def open_sqlite(
    url: str,
    *,
    keys: Keys,
    station: str,
    create: Kind | None = None,
    clock: Callable[[], datetime] = utc_now,
    unique: Callable[[], str] = fresh_id,
) -> Ledger:
    """``sqlite:///relative/path`` or ``sqlite:////absolute/path``."""
    if not url.startswith(_SQLITE) or url == _SQLITE:
        raise UsageError("ledger.bad_url", url=url)
    database = sqlite.open_file(Path(url.removeprefix(_SQLITE)), create=create is not None)
    return prepare(database, keys=keys, station=station, create=create, clock=clock, unique=unique)


def open_postgresql(
    url: str,
    *,
    keys: Keys,
    station: str,
    create: Kind | None = None,
    clock: Callable[[], datetime] = utc_now,
    unique: Callable[[], str] = fresh_id,
) -> Ledger:
    """``postgresql://user@host/database``; the password by PGPASSWORD or a pgpass file."""
    from eol_inject.ledger import postgresql

    database = postgresql.connect(url)
    return prepare(database, keys=keys, station=station, create=create, clock=clock, unique=unique)


def prepare(
    database: Database,
    *,
    keys: Keys,
    station: str,
    create: Kind | None,
    clock: Callable[[], datetime],
    unique: Callable[[], str],
) -> Ledger:
    """The ledger in ``database``. Its connections are closed again where this raises."""

    def work(conn: sa.Connection) -> Info:
        migrate(conn)
        known = _meta(conn)
        if not known:
            if create is None:
                raise StationError("ledger.missing", path=database.where)
            database.brand(conn)
            _found(conn, keys, create, unique(), clock())
            known = _meta(conn)
        _refuse_wrong_keys(keys, known)
        return Info(
            id=known["ledger_id"],
            kind=Kind(known["kind"]),
            revision=REVISION,
            generation=int(known["generation"]),
            station=station,
            where=database.where,
        )

    try:
        info = database.write(work)
    except BaseException:
        database.close()
        raise
    return Ledger(Setup(database, Vault(keys, info.id), info, clock, unique))


def _meta(conn: sa.Connection) -> dict[str, str]:
    return {row.key: row.value for row in conn.execute(sa.select(meta.c.key, meta.c.value))}


def _found(conn: sa.Connection, keys: Keys, kind: Kind, ledger_id: str, at: datetime) -> None:
    values = {
        "ledger_id": ledger_id,
        "kind": kind.value,
        "generation": "1",
        "key_check": Vault(keys, ledger_id).check_value().hex(),
        "created_at": at.isoformat(timespec="seconds"),
    }
    conn.execute(sa.insert(meta), [{"key": k, "value": v} for k, v in values.items()])


def _refuse_wrong_keys(keys: Keys, known: dict[str, str]) -> None:
    expected = Vault(keys, known["ledger_id"]).check_value().hex()
    if not hmac.compare_digest(expected, known["key_check"]):
        raise StationError("ledger.wrong_key", id=known["ledger_id"])
