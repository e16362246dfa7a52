"""A copy of the ledger while the line runs, and the way back from it.

A backup is one SQLite file with everything but the keys, whatever the engine. A restored ledger is
dangerous: tokens used since look available. So its generation is counted up, and nobody draws from
it until every station has compared its own memory (``settling``).
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import EolError, Param, StationError, UsageError
from eol_inject.ledger import home, marks, schema, sqlite
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.migrate import migrate
from eol_inject.ledger.schema import meta
from eol_inject.ledger.settling import drawing, flag_all

_PAGES: Final = 256
"""Copied at a time: a line waits some milliseconds at most."""

_ROWS: Final = 5000


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied."""

    path: Path
    ledger_id: str
    events: int


def backup(setup: Setup, path: Path) -> Backup:
    """Copy the ledger into a new owner-only file, as it stands at one moment.

    Raises ``UsageError("ledger.backup_exists")``, ``StationError("ledger.no_folder")``.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        raise UsageError("ledger.backup_exists", path=str(path)) from None
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror or "") from error
    with ExitStack() as failing:
        failing.callback(path.unlink)
        if isinstance(setup.db, sqlite.SqliteDatabase):
            _copy_file(setup.db.path, path)
        else:
            setup.db.read(lambda conn: _copy_rows_to_file(conn, path))
        events = _seal(path)
        failing.pop_all()
    return Backup(path, setup.info.id, events)


def into_file(path: Path, target: Path, mark: Callable[[Path], None]) -> Path | None:
    """Put the backup at ``path`` where ``target`` is; the answer is where the old file went.

    ``mark`` is given the new file before it takes that place: a restored ledger never stands there
    unmarked, whatever stops us in between. Raises ``StationError``: ``ledger.foreign``,
    ``corrupt``, ``no_folder``; ``UsageError``: ``ledger.another_ledger`` where ``target`` is not an
    older or newer state of the same one.
    """
    there = _identity(path)
    stands = target.exists() and target.stat().st_size > 0
    if stands and _identity_if_sound(target) not in (there, None):
        raise UsageError("ledger.another_ledger", path=str(target))
    fresh = target.with_name(target.name + ".restoring")
    try:
        os.close(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(fresh), why=error.strerror or "") from error
    with ExitStack() as failing:
        for one in _with_logs(fresh):
            failing.callback(one.unlink, missing_ok=True)
        _copy_file(path, fresh)
        mark(fresh)
        _seal(fresh)
        failing.pop_all()
    kept = _move_away(target) if stands else None
    fresh.replace(target)
    return kept


def _identity_if_sound(target: Path) -> str | None:
    """None for a damaged ledger: that is what a backup is for."""
    try:
        return _identity(target)
    except StationError as error:
        if error.code != "ledger.corrupt":
            raise
        return None


def _move_away(target: Path) -> Path:
    """With its log, which may hold what the file lacks."""
    kept = _free_name(target)
    for old, new in zip(_with_logs(target), _with_logs(kept), strict=True):
        if old.exists():
            old.rename(new)
    return kept


def _with_logs(path: Path) -> tuple[Path, ...]:
    return tuple(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", ""))


def into_database(conn: sa.Connection, path: Path) -> None:
    """Put the backup at ``path`` into an empty database.

    Raises ``UsageError("ledger.not_empty")``.
    """
    _identity(path)
    if sa.inspect(conn).get_table_names():
        raise UsageError("ledger.not_empty")
    migrate(conn)
    with closing(sqlite.SqliteDatabase(path)) as source, _without_guards(conn):
        conn.execute(sa.delete(schema.transition))
        source.read(lambda rows: _copy_rows(rows, conn))
    if conn.dialect.name == "postgresql":
        _restart_sequences(conn)
    flag_all(conn)


def stations_in(path: Path) -> set[str]:
    """Who drew from the ledger file that a restore replaced; nobody where it cannot be read."""
    try:
        old = sqlite.open_file(path, create=False)
    except EolError:
        return set()
    with closing(old), suppress(EolError):
        return old.read(drawing)
    return set()


def mark_restored(setup: Setup, operator: str, path: Path, stations: set[str]) -> None:
    """Count the generation up, and let every station compare its memory first."""

    def work(conn: sa.Connection) -> None:
        generation = setup.info.generation + 1
        conn.execute(
            sa.update(meta).where(meta.c.key == "generation").values(value=str(generation))
        )
        flag_all(conn, stations)
        home.forget(conn)
        facts: dict[str, Param] = {
            "generation": generation, "backup": path.name, marks.FACT: marks.digest(conn),
        }  # fmt: skip
        append(conn, setup, Entry("restored", operator=operator, facts=facts))

    setup.db.write(work)


def _copy_file(source: Path, target: Path) -> None:
    with _raw(source) as reading, _raw(target) as writing:
        reading.backup(writing, pages=_PAGES, sleep=0.001)


def _copy_rows_to_file(rows: sa.Connection, path: Path) -> None:
    with closing(sqlite.SqliteDatabase(path)) as target:

        def work(conn: sa.Connection) -> None:
            migrate(conn)
            target.brand(conn)
            with _without_guards(conn):
                conn.execute(sa.delete(schema.transition))
                _copy_rows(rows, conn)

        target.write(work)


def _copy_rows(source: sa.Connection, target: sa.Connection) -> None:
    """Every table, in an order in which what is referred to comes first."""
    for name in (
        "meta", "transition", "station", "person", "unit", "identifier", "source", "token",
        "binding", "attempt", "lease", "assignment", "label", "event", "todo",
    ):  # fmt: skip
        table = next(one for one in schema.TABLES if one.name == name)
        result = source.execution_options(yield_per=_ROWS).execute(sa.select(table))
        for part in result.mappings().partitions():
            target.execute(sa.insert(table), [dict(row) for row in part])


class _without_guards:  # noqa: N801  # used as a context, reads as one
    """Triggers off while history is copied as it was; the same ones on again afterwards."""

    def __init__(self, conn: sa.Connection) -> None:
        self._conn = conn
        self._again: list[str] = []

    def __enter__(self) -> None:
        if self._conn.dialect.name == "sqlite":
            rows = self._conn.exec_driver_sql(
                "SELECT name, sql FROM sqlite_master WHERE type='trigger'"
            ).all()
            for name, text in rows:
                self._conn.exec_driver_sql(f"DROP TRIGGER {name}")
                self._again.append(text)
            return
        for table in schema.TABLES:
            self._conn.exec_driver_sql(f'ALTER TABLE "{table.name}" DISABLE TRIGGER USER')
            self._again.append(f'ALTER TABLE "{table.name}" ENABLE TRIGGER USER')

    def __exit__(self, *raised: object) -> None:
        for text in self._again:
            self._conn.exec_driver_sql(text)


def _restart_sequences(conn: sa.Connection) -> None:
    for table, column in (
        ("unit", "id"), ("source", "id"), ("token", "id"), ("attempt", "n"),
        ("assignment", "id"), ("label", "id"), ("event", "id"), ("todo", "id"),
    ):  # fmt: skip
        highest: sa.Column[int] = sa.column(column, sa.BigInteger())  # type: ignore[assignment]
        last = sa.func.coalesce(sa.func.max(highest), 0) + 1
        query = sa.select(
            sa.func.setval(sa.func.pg_get_serial_sequence(table, column), last, sa.false())
        ).select_from(sa.table(table))
        conn.execute(query)


def _seal(path: Path) -> int:
    """On disk as one whole file, without a WAL beside it; how many events it holds."""
    with _raw(path) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
        (events,) = conn.execute("SELECT count(*) FROM event").fetchone()
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    return int(events)


def _identity(path: Path) -> str:
    """The id of the ledger in a file. Raises ``StationError``: ``foreign``, ``corrupt``."""
    with closing(sqlite.open_file(path, create=False)) as opened:
        found = opened.read(
            lambda conn: conn.execute(
                sa.select(meta.c.value).where(meta.c.key == "ledger_id")
            ).scalar_one_or_none()
        )
    if found is None:
        raise StationError("ledger.foreign")
    return str(found)


def _free_name(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}.before-restore-{number}")).exists():
        number += 1
    return kept


class _raw:  # noqa: N801  # used as a context, reads as one
    """A plain connection that is closed again, its errors ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._conn = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        return self._conn

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._conn.close()
        if isinstance(error, sqlite3.Error):
            raise StationError("ledger.failed", where=str(self._path), why=str(error)) from None
