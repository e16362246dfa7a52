"""Open a ledger, or make one: its schema, its identity for life, the right keys."""

import hmac
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Final, Required, TypedDict, Unpack

import sqlalchemy as sa

from eol_inject.errors import Param, StationError, UsageError
from eol_inject.ledger import marks, sqlite
from eol_inject.ledger.book import Ledger, fresh_id, utc_now
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.database import Database
from eol_inject.ledger.keys import Keys
from eol_inject.ledger.migrate import migrate
from eol_inject.ledger.model import Info, Kind
from eol_inject.ledger.schema import REVISION, meta
from eol_inject.ledger.vault import Vault
from eol_inject.ledger.witness import Witness

_SQLITE: Final = "sqlite:///"


class How(TypedDict, total=False):
    """How a ledger is opened; see ``ledger.open_ledger``."""

    keys: Required[Keys]
    station: Required[str]
    create: Kind | None
    clock: Callable[[], datetime]
    unique: Callable[[], str]
    witness: Path | None
    host: str | None


def open_sqlite(url: str, **how: Unpack[How]) -> Ledger:
    """``sqlite:///relative/path`` or ``sqlite:////absolute/path``."""
    if not url.startswith(_SQLITE) or url == _SQLITE:
        raise UsageError("ledger.bad_url", url=url)
    create = how.get("create") is not None
    return prepare(sqlite.open_file(Path(url.removeprefix(_SQLITE)), create=create), **how)


def open_postgresql(url: str, **how: Unpack[How]) -> Ledger:
    """``postgresql://user@host/database``; the password by PGPASSWORD or a pgpass file."""
    from eol_inject.ledger import postgresql

    return prepare(postgresql.connect(url), **how)


def restore(
    path: Path, url: str, *, keys: Keys, station: str, operator: str
) -> tuple[Info, Path | None]:
    """Put a backup where ``url`` is: the new state, and where the old file was moved to.

    Raises what ``backup.into_file`` and ``backup.into_database`` raise.
    """
    from eol_inject.ledger import backup

    def mark(where: str, replaced: set[str]) -> None:
        with opener(where, keys=keys, station=station) as ledger:
            ledger.mark_restored(operator, path, replaced)

    opener = open_sqlite if url.startswith(_SQLITE) else open_postgresql
    kept = None
    if url.startswith(_SQLITE):
        target = Path(url.removeprefix(_SQLITE))
        drew = backup.stations_in(target)
        kept = backup.into_file(path, target, lambda fresh: mark(f"{_SQLITE}{fresh}", drew))
    else:
        from eol_inject.ledger import postgresql

        database = postgresql.connect(url)
        try:
            database.write(lambda conn: backup.into_database(conn, path))
        finally:
            database.close()
        mark(url, set())
    with opener(url, keys=keys, station=station) as ledger:
        return ledger.info, kept


def prepare(
    database: Database,
    *,
    keys: Keys,
    station: str,
    create: Kind | None = None,
    clock: Callable[[], datetime] = utc_now,
    unique: Callable[[], str] = fresh_id,
    witness: Path | None = None,
    host: str | None = None,
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
            info = _info(_meta(conn), station, database.where)
            facts: dict[str, Param] = {
                "ledger": info.id, "kind": info.kind.value, marks.FACT: marks.digest(conn),
            }  # fmt: skip
            append(conn, setup_of(info), Entry("founded", facts=facts))
            return info
        _refuse_wrong_keys(keys, known)
        return _info(known, station, database.where)

    def setup_of(info: Info) -> Setup:
        memory = None if witness is None else Witness(witness, info.id, station)
        return Setup(database, Vault(keys, info.id), info, clock, unique, memory, host)

    with ExitStack() as failing:
        failing.callback(database.close)
        info = database.write(work)
        failing.pop_all()
    return Ledger(setup_of(info))


def _info(known: dict[str, str], station: str, where: str) -> Info:
    return Info(
        id=known["ledger_id"],
        kind=Kind(known["kind"]),
        revision=REVISION,
        generation=int(known["generation"]),
        station=station,
        where=where,
    )


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
