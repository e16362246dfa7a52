"""PostgreSQL: one pool for several stations.

Refused where a commit might not be on disk (``fsync`` or ``synchronous_commit`` off): a token
already in a unit would be handed out again. A lost connection is tried again a few times; every
piece of work gives the same answer when its first run did commit.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from eol_inject.errors import EolError, StationError, UsageError
from eol_inject.ledger.database import Database
from eol_inject.ledger.model import Finding
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import INDEXES, RIGHTS, RULES, Found

T = TypeVar("T")

_CONNECT_S: Final = 5

# A hung server must not hang the line; a statement of ours takes milliseconds, an import seconds.
# Planned once, and by index: the cycle's statements go by one index each, whatever the values.
# Planning takes the server a seventh of a reservation; and what was planned while a table was
# small would go through all of it for good. What does look at everything says so: `_ALL`.
_OPTIONS: Final = (
    "-c lock_timeout=30s -c idle_in_transaction_session_timeout=120s"
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
)
_KEPT: Final = 2
"""Connections that are kept out of the pool for single statements: it must not run dry by them."""

_ALL: Final = "SET LOCAL enable_seqscan = on"
_PAUSES_S: Final = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Between the tries: about four seconds, a server's restart."""

# PostgreSQL manual, appendix A: classes and codes of SQLSTATE.
_RACES: Final = frozenset({"40001", "40P01", "23505"})
"""Two stations at the same row: serialization, deadlock, unique. Run again, the second one sees
what the first one did."""

_CODES: Final = {
    "08": "ledger.unreachable",
    "57": "ledger.unreachable",
    "28": "ledger.login_refused",
    "3D": "ledger.no_database",
    "42": "ledger.not_permitted",
    "53": "ledger.disk_full",
    "25": "ledger.read_only",
    "58": "ledger.io_error",
    "XX": "ledger.corrupt",
    "23": "ledger.rule_broken",
    "P0": "ledger.rule_broken",
    "55": "ledger.locked",
    "40": "ledger.locked",
}
_TYPES: Final[dict[type, str]] = {
    sa.BigInteger: "int8",
    sa.LargeBinary: "bytea",
    sa.Text: "text",
}
_UNSAFE: Final = ("fsync", "synchronous_commit", "full_page_writes")


class PostgresqlDatabase(Database):
    """A ledger on a server."""

    shared = True

    def __init__(self, url: sa.URL, *, sleep: Callable[[float], None] = time.sleep) -> None:
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            pool_size=4,
            max_overflow=28,
            pool_timeout=10,
            connect_args={
                "connect_timeout": _CONNECT_S,
                "application_name": "eol-inject",
                "options": _OPTIONS,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
        )
        super().__init__(engine, url.set(password=None).render_as_string())
        self._sleep = sleep
        # Of the same pool; each statement is a transaction of its own, and one round trip. Kept
        # here when idle: what the pool does around a statement costs the station as much as it.
        self._single: Final = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._idle: Final[list[sa.Connection]] = []

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """As ``Database.write``; slots run side by side, the server's row locks keep them apart."""
        return self._again(lambda: self._attempt(work))

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """As ``Database.read``."""
        return self._again(lambda: self._read(work))

    def ask(self, statement: Prepared, values: Mapping[str, Any]) -> Found | None:
        """As ``Database.ask``, in one round trip."""
        return self._again(lambda: self._alone(statement, values))

    def at_once(self, statement: Prepared, values: Mapping[str, Any]) -> Found | None:
        """Run ``statement`` as a transaction of its own, on disk when this returns.

        None where it found nothing to do, and where it did not come through: somebody else was at
        the same rows, or nobody knows whether it did before the connection broke. Then the same
        has to be done by ``write``, which finds out.
        """
        try:
            return self._alone(statement, values)
        except SQLAlchemyError as error:
            if not _may_pass(error):
                raise self.translate(error) from None
            if _lost(error):
                self._forget()
            return None

    def _alone(self, statement: Prepared, values: Mapping[str, Any]) -> Found | None:
        with ExitStack() as failing:
            try:
                conn = self._idle.pop()
            except IndexError:
                conn = self._single.connect()
            failing.callback(conn.close)
            found: Found | None = statement.first(conn, values)
            if len(self._idle) < _KEPT:
                failing.pop_all()
                self._idle.append(conn)
        return found

    def close(self) -> None:
        """As ``Database.close``."""
        self._forget()

    def _forget(self) -> None:
        """Every connection that nobody uses just now."""
        while self._idle:
            self._idle.pop().close()
        self.engine.dispose()

    def _attempt(self, work: Callable[[sa.Connection], T]) -> T:
        with self.engine.begin() as conn:
            return work(conn)

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        with self.engine.connect() as conn, conn.begin():
            conn.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            conn.exec_driver_sql(_ALL)
            return work(conn)

    def _again(self, run: Callable[[], T]) -> T:
        for pause in _PAUSES_S:
            try:
                return run()
            except SQLAlchemyError as error:
                if not _may_pass(error):
                    raise self.translate(error) from None
                if _lost(error):
                    self._forget()
                self._sleep(pause)
        with self.translated():
            return run()

    def translate(self, error: SQLAlchemyError) -> EolError:
        """By SQLSTATE: the server's own texts repeat rows."""
        state = _state(error)
        if _lost(error) and state is None:
            why = type(error).__name__
            origin = getattr(error, "orig", None)
            text = str(origin)
            if "password authentication" in text or "no password supplied" in text:
                return StationError("ledger.login_refused", where=self.where)
            if "does not exist" in text:
                return StationError("ledger.no_database", where=self.where)
            return StationError("ledger.unreachable", where=self.where, why=why)
        code = _CODES.get((state or "")[:2], "ledger.failed")
        return StationError(code, where=self.where, why=f"SQLSTATE {state or 'none'}")

    def require_space(self) -> None:
        """The server's disk is the server's to watch."""

    def lock_chain(self, conn: sa.Connection, station: str) -> None:
        """One row a station: its slots append one after the other, other stations do not wait."""
        _LOCK.run(conn, {"s": station})

    def bulk(self, conn: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Binary ``COPY``."""
        names = ", ".join(f'"{column.name}"' for column in table.c)
        types = [_TYPES[type(column.type)] for column in table.c]
        cursor = conn.connection.cursor()
        with cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN (FORMAT BINARY)') as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def expect_bulk(self, conn: sa.Connection) -> None:
        """Let the planner see how much there is."""
        conn.exec_driver_sql(_ALL)
        conn.exec_driver_sql("ANALYZE incoming")

    def broken_rules(self, conn: sa.Connection) -> Iterator[Finding]:
        """The server keeps its constraints; triggers can be dropped or switched off."""
        rows = conn.exec_driver_sql(
            "SELECT tgname, tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE NOT tgisinternal AND n.nspname = current_schema()"
        ).all()
        enabled = {str(name): str(state) for name, state in rows}
        for name in RULES:
            if enabled.get(name) not in {"O", "A"}:
                yield Finding(f"trigger {name}", "is off" if name in enabled else "is missing")
        indexes = set(
            conn.exec_driver_sql(
                "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
            ).scalars()
        )
        for name in INDEXES:
            if name not in indexes:
                yield Finding(f"index {name}", "is missing")
        unchecked = conn.exec_driver_sql(
            "SELECT conname FROM pg_constraint WHERE NOT convalidated"
        ).scalars()
        for name in unchecked:
            yield Finding(f"constraint {name}", "is not checked")

    def brand(self, conn: sa.Connection) -> None:
        """A schema of its own tables is mark enough."""

    def permit_station(self, role: str) -> None:
        """Let the server's user ``role`` work as a station: it can append, never rewrite.

        To be run by the owner of the tables, after each migration. Raises
        ``StationError("ledger.not_permitted")``.
        """

        def work(conn: sa.Connection) -> None:
            name = conn.dialect.identifier_preparer.quote(role)
            database = conn.exec_driver_sql("SELECT quote_ident(current_database())").scalar_one()
            conn.exec_driver_sql(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {name}")
            tables = sa.inspect(conn).get_table_names()
            for table in tables:
                rights = ", ".join(RIGHTS.get(table, ("SELECT",)))
                conn.exec_driver_sql(f'REVOKE ALL ON "{table}" FROM {name}')
                conn.exec_driver_sql(f'GRANT {rights} ON "{table}" TO {name}')
            conn.exec_driver_sql(
                f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {_schema(conn)} TO {name}"
            )

        self.write(work)

    def refuse_unsafe(self) -> None:
        """Raise ``StationError("ledger.unsafe_server")`` where a commit may be lost."""

        def work(conn: sa.Connection) -> None:
            for name in _UNSAFE:
                value = conn.exec_driver_sql(f"SHOW {name}").scalar_one()
                if value not in {"on", "local", "remote_write", "remote_apply"}:
                    raise StationError("ledger.unsafe_server", setting=name, value=str(value))

        self.read(work)


def _schema(conn: sa.Connection) -> str:
    return str(conn.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())


_SEED: Final[sa.ColumnElement[int]] = sa.literal_column("4971")
_LOCK: Final = Prepared(
    sa.select(
        sa.func.pg_advisory_xact_lock(
            sa.func.hashtextextended(sa.bindparam("s", type_=sa.Text()), _SEED)
        )
    )
)
"""Held to the end of the transaction; of no table, so that reading the chain never waits."""


def connect(url: str) -> PostgresqlDatabase:
    """``postgresql://user@host/database``; the password by PGPASSWORD or a pgpass file.

    Raises ``UsageError``: ``ledger.bad_url``, ``no_driver``; ``StationError``:
    ``ledger.unreachable``, ``login_refused``, ``no_database``, ``unsafe_server``.
    """
    try:
        parsed = sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise UsageError("ledger.bad_url", url="postgresql") from None
    if not parsed.database:
        raise UsageError("ledger.bad_url", url=parsed.set(password=None).render_as_string())
    try:
        database = PostgresqlDatabase(parsed.set(drivername="postgresql+psycopg"))
    except ImportError as error:
        raise UsageError("ledger.no_driver") from error
    with ExitStack() as failing:
        failing.callback(database.close)
        database.refuse_unsafe()
        failing.pop_all()
    return database


def _state(error: SQLAlchemyError) -> str | None:
    origin: Any = error.orig if isinstance(error, DBAPIError) else None
    found = getattr(origin, "sqlstate", None)
    return found if isinstance(found, str) else None


def _lost(error: SQLAlchemyError) -> bool:
    """Whether the connection is gone, or never came about."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    return bool(error.connection_invalidated) or (
        type(error.orig).__name__ == "OperationalError" and (state or "08")[:2] in {"08", "57"}
    )


def _may_pass(error: SQLAlchemyError) -> bool:
    """Whether trying again may help: races, and connections that broke."""
    if _state(error) in _RACES:
        return True
    text = str(getattr(error, "orig", ""))
    hopeless = "password" in text or "does not exist" in text
    return _lost(error) and not hopeless
