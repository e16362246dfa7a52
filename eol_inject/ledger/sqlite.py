"""SQLite: one file, WAL, on disk at every commit.

Facts (measured, shared notes "ledger engine facts"): synchronous=NORMAL can lose the last commits
when the power goes, so a token already in a unit would be handed out again: FULL. A deferred BEGIN
fails with "locked" in spite of the busy timeout: IMMEDIATE.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from eol_inject.errors import EolError, StationError
from eol_inject.ledger.database import Database
from eol_inject.ledger.migrate import migrate
from eol_inject.ledger.model import Finding
from eol_inject.ledger.prepared import as_sqlalchemy

APPLICATION_ID: Final = 0x454F4C49
"""``EOLI`` in the file's header: tells a ledger from any other SQLite file."""

_BUSY_S: Final = 30.0
_CACHE_KB: Final = 32768
_LEAST_FREE: Final = 1024 * 1024
_SHARES: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.rclone"}
)
"""WAL needs shared memory, and locks that hold: sqlite.org/wal.html, "does not work over a network
filesystem"."""

_SHARED_MEMORY: Final = 32 * 1024
"""Bytes by which the ``-shm`` file grows (sqlite.org/walformat.html, section 2)."""

_HEADER: Final = b"SQLite format 3\0"
_HEADER_SIZE: Final = 100

_CODES: Final = {
    sqlite3.SQLITE_BUSY: "ledger.locked",
    sqlite3.SQLITE_LOCKED: "ledger.locked",
    sqlite3.SQLITE_FULL: "ledger.disk_full",
    sqlite3.SQLITE_READONLY: "ledger.read_only",
    sqlite3.SQLITE_PERM: "ledger.read_only",
    sqlite3.SQLITE_CORRUPT: "ledger.corrupt",
    sqlite3.SQLITE_NOTADB: "ledger.foreign",
    sqlite3.SQLITE_CANTOPEN: "ledger.cannot_open",
    sqlite3.SQLITE_IOERR: "ledger.io_error",
    sqlite3.SQLITE_CONSTRAINT: "ledger.rule_broken",
}


class SqliteDatabase(Database):
    """A ledger file."""

    shared = False

    def __init__(self, path: Path, *, busy_s: float = _BUSY_S) -> None:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=28,
            connect_args={"timeout": busy_s, "check_same_thread": False},
        )
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        super().__init__(engine, f"sqlite:///{path}")
        self.path: Final = path

    def translate(self, error: SQLAlchemyError) -> EolError:
        """By SQLite's own result codes, not by its texts."""
        origin = error.orig if isinstance(error, DBAPIError) else None
        full = getattr(origin, "sqlite_errorcode", None)
        why = str(origin) if origin is not None else type(error).__name__
        if not isinstance(full, int):
            return StationError("ledger.failed", where=self.where, why=type(error).__name__)
        code = _CODES.get(full & 0xFF, "ledger.failed")
        if code == "ledger.io_error" and self._is_full():
            # The memory that WAL shares cannot grow: to SQLite that is an error of the disk.
            code = "ledger.disk_full"
        return StationError(code, where=self.where, why=why)

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self.path.parent).free < _SHARED_MEMORY
        except OSError:
            return False

    def require_space(self) -> None:
        """Room for many cycles' records: a unit is not begun on the last free page."""
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError:
            return  # what is wrong there the next transaction tells
        if free < _LEAST_FREE:
            why = f"only {free // 1024} KiB are free"
            raise StationError("ledger.disk_full", where=self.where, why=why)

    def lock_chain(self, conn: sa.Connection, station: str) -> None:
        """BEGIN IMMEDIATE has locked the whole file already."""

    def bulk(self, conn: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """``executemany`` of the driver itself."""
        conn.exec_driver_sql(str(sa.insert(table).compile(dialect=conn.dialect)), list(rows))

    def expect_bulk(self, conn: sa.Connection) -> None:
        """Keep the unique indexes, which are filled in random order, in memory."""
        conn.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KB}")

    def broken_rules(self, conn: sa.Connection) -> Iterator[Finding]:
        """Against a new ledger's own: SQLite can lose triggers when a table is rebuilt."""
        for (text,) in conn.exec_driver_sql("PRAGMA integrity_check(20)"):
            if text != "ok":
                yield Finding("file", text)
        for table, row, parent, _ in conn.exec_driver_sql("PRAGMA foreign_key_check"):
            yield Finding(f"{table} {row}", f"refers to what {parent} does not have")
        found, wanted = _rules(conn), _wanted_rules()
        for name in sorted(set(found) | set(wanted)):
            if found.get(name) != wanted.get(name):
                missing = name not in found
                yield Finding(name, "is missing" if missing else "is not this program's")

    def brand(self, conn: sa.Connection) -> None:
        """The header's application id."""
        conn.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def _rules(conn: sa.Connection) -> dict[str, str]:
    rows = conn.exec_driver_sql(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    ).all()
    return {f"{kind} {name}": text for kind, name, text in rows}


@cache
def _wanted_rules() -> dict[str, str]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as conn:
        migrate(conn)
        wanted = _rules(conn)
    engine.dispose()
    return wanted


def share_of(path: Path, mounts: str) -> str | None:
    """The kind of network share ``path`` is on; None for a disk of this computer.

    ``mounts``: as ``/proc/self/mounts`` (proc(5)): device, place, kind, …; blanks as ``\\040``.
    """
    if str(path).startswith(("//", "\\\\")):
        return "UNC path"
    best, kind = -1, ""
    for line in mounts.splitlines():
        _, place, found, *_ = [*line.split(" "), "", "", ""]
        place = place.replace("\\040", " ")
        if path.is_relative_to(place or "?") and len(place) >= best:
            best, kind = len(place), found
    return kind if kind in _SHARES else None


def _refuse_share(path: Path) -> None:
    mounts = Path("/proc/self/mounts")
    try:
        text = mounts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""  # not Linux: only a UNC path is told
    kind = share_of(path.absolute(), text)
    if kind is not None:
        raise StationError("ledger.network_share", path=str(path), kind=kind)


def open_file(path: Path, *, create: bool) -> SqliteDatabase:
    """The file at ``path``, made owner-only where it is missing and ``create`` says so.

    Raises ``StationError``: ``ledger.missing``, ``ledger.no_folder``, ``ledger.foreign``,
    ``ledger.network_share``, ``ledger.corrupt`` for a truncated file.
    """
    _refuse_share(path)
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_SIZE)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        if not create:
            raise StationError("ledger.missing", path=str(path)) from None
        _make(path)
        return SqliteDatabase(path)
    except OSError as error:
        raise StationError(
            "ledger.cannot_open", where=str(path), why=error.strerror or ""
        ) from error
    if not size:
        # Killed right after it was made: nothing was ever in it.
        if not create:
            raise StationError("ledger.missing", path=str(path))
        return SqliteDatabase(path)
    _check_header(path, header, size)
    return SqliteDatabase(path)


def _make(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StationError("ledger.no_folder", path=str(path), why=error.strerror or "") from error


def _check_header(path: Path, header: bytes, size: int) -> None:
    """SQLite file format, section 1.3: page size at 16, pages at 28, application id at 68."""
    if header[:16] != _HEADER or len(header) < _HEADER_SIZE:
        raise StationError("ledger.foreign", path=str(path))
    application = int.from_bytes(header[68:72], "big")
    wal = path.with_name(path.name + "-wal")
    has_wal = wal.exists() and wal.stat().st_size > 0
    if application != APPLICATION_ID and not has_wal:
        raise StationError("ledger.foreign", path=str(path))
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    if page * int.from_bytes(header[28:32], "big") > size and not has_wal:
        raise StationError("ledger.corrupt", where=str(path), why="the file was cut off")


def _prepare(connection: Any, record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",  # INSERT OR REPLACE must not slip past the delete triggers
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(conn: sa.Connection) -> None:
    read_only = conn.get_execution_options().get("eol_read_only")
    driver: Any = conn.connection.driver_connection
    try:
        driver.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise as_sqlalchemy(conn, error) from None
