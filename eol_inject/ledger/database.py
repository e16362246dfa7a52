"""One database under a ledger: transactions that commit or leave no trace, errors translated.

``SqliteDatabase`` and ``PostgresqlDatabase`` differ in how they connect, in what their errors mean
and in how often they may try again; everything above speaks SQLAlchemy Core to both.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from eol_inject.errors import EolError, UsageError
from eol_inject.ledger.model import Finding
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found

T = TypeVar("T")


class Database(ABC):
    """Runs pieces of work, each in a transaction of its own."""

    shared: ClassVar[bool]
    """Whether several computers may use it."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self.engine: Final = engine
        self.where: Final = where
        """URL without password, for people."""
        # The slots of one station are threads: let them queue here, fairly, not in the database.
        self._writers = threading.Lock()

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in a transaction that is on disk when this returns.

        ``work`` may be run again after a lost connection, so it must give the same result when
        its first run did commit (request ids, states that are reached already).
        """
        with self._writers:
            return self._attempt(work)

    def _attempt(self, work: Callable[[sa.Connection], T]) -> T:
        with self.translated(), self.engine.begin() as conn:
            return work(conn)

    def write_staged(
        self, stage: Callable[[sa.Connection], None], work: Callable[[sa.Connection], T]
    ) -> T:
        """Fill temporary tables without locking anybody out, then run ``work`` as ``write`` does.

        Not run again after a lost connection: what ``stage`` reads may not be readable twice.
        """
        with self.translated(), self.engine.connect() as conn:
            with conn.execution_options(eol_read_only=True).begin():
                stage(conn)
            with self._writers, conn.execution_options(eol_read_only=False).begin():
                return work(conn)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` on one consistent view; it must not write."""
        with (
            self.translated(),
            self.engine.connect() as conn,
            conn.execution_options(eol_read_only=True).begin(),
        ):
            return work(conn)

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Found | None:
        """Run one reading ``statement`` on its own: its only row, or None."""

        def look(conn: sa.Connection) -> Found | None:
            found: Found | None = statement.first(conn, values)
            return found

        return self.read(look)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors into ours, without parameters or traceback of values."""
        try:
            yield
        except SQLAlchemyError as error:
            # `from None`: PostgreSQL's own text repeats rows (DETAIL: Failing row contains …).
            raise self.translate(error) from None
        except UnicodeEncodeError:
            # A name or path of bytes that are no text here (PEP 383); no database keeps those.
            raise UsageError("ledger.not_text") from None

    @abstractmethod
    def translate(self, error: SQLAlchemyError) -> EolError:
        """What ``error`` means to the person at the station."""

    @abstractmethod
    def require_space(self) -> None:
        """Raise ``StationError("ledger.disk_full")`` where little room is left, if that is ours to
        see."""

    @abstractmethod
    def lock_chain(self, conn: sa.Connection, station: str) -> None:
        """Let nobody else append to the station's chain until this transaction ends."""

    @abstractmethod
    def bulk(self, conn: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows, each in the order of the table's columns, the engine's fastest way."""

    @abstractmethod
    def expect_bulk(self, conn: sa.Connection) -> None:
        """Prepare this connection for a statement that moves very many rows."""

    @abstractmethod
    def broken_rules(self, conn: sa.Connection) -> Iterator[Finding]:
        """Constraints, indexes and triggers that are missing, off, or not kept."""

    @abstractmethod
    def brand(self, conn: sa.Connection) -> None:
        """Mark a new database as a ledger."""

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
