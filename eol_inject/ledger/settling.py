"""A ledger that was restored: nobody draws from it until every station has said what it knows."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UnitError
from eol_inject.ledger import marks, people
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.people import Person
from eol_inject.ledger.schema import event, meta
from eol_inject.ledger.transitions import Act, Who
from eol_inject.ledger.witness import Witness

_FLAG: Final = "unsettled:"
FLAGS: Final = sa.select(meta.c.key).where(meta.c.key.startswith(_FLAG, autoescape=True))


def refuse_unsettled(setup: Setup) -> None:
    """Raise ``StationError`` where tokens in use may look available.

    ``ledger.behind_witness`` for this station's own memory, ``ledger.no_witness`` where it lost
    that memory, ``ledger.unsettled`` where another station has not spoken yet.
    """

    def look(conn: sa.Connection) -> tuple[bool, list[str]]:
        behind = setup.witness is not None and setup.witness.behind(conn)
        return behind, [str(key).removeprefix(_FLAG) for key in conn.execute(FLAGS).scalars()]

    behind, waiting = setup.db.read(look)
    station = setup.info.station
    if behind:
        if station not in waiting:
            setup.db.write(lambda conn: _flag_and_tell(conn, setup))
        raise StationError("ledger.behind_witness", station=station)
    if station in waiting:
        memory(setup)
        setup.db.write(lambda conn: _unflag_and_tell(conn, setup))
        waiting.remove(station)
    if waiting:
        raise StationError("ledger.unsettled", stations=", ".join(sorted(waiting)))


def memory(setup: Setup) -> Witness:
    """This station's. A new computer under an old name has none: what it finds says nothing."""
    witness = setup.witness
    if witness is None or not witness.remembers():
        raise StationError("ledger.no_witness")
    return witness


def flag_all(conn: sa.Connection, more: Iterable[str] = ()) -> None:
    """Every station that ever drew from here, and ``more``, has to compare its memory first.

    A station whose first token was drawn after the backup is known only where the lost state can
    still be read (``more``); it finds out by its own memory, but others cannot wait for it.
    """
    stations = drawing(conn) | set(more)
    known = set(conn.execute(FLAGS).scalars())
    rows = [{"key": _FLAG + one, "value": ""} for one in stations if _FLAG + one not in known]
    if rows:
        conn.execute(sa.insert(meta), rows)


def drawing(conn: sa.Connection) -> set[str]:
    """The stations that ever drew a token."""
    drew = sa.select(event.c.station).where(event.c.act == Act.RESERVE.value).distinct()
    return set(conn.execute(drew).scalars())


def settle(setup: Setup, station: str, by: Person, reason: str) -> None:
    """A named person vouches for a station that cannot speak any more.

    Not for this one: what it remembers is replayed. Raises ``StationError("ledger.own_memory")``.
    """
    mine = setup.witness
    if station == setup.info.station and mine is not None and mine.remembers():
        raise StationError("ledger.own_memory", station=station)

    def work(conn: sa.Connection) -> None:
        people.require(conn, setup, by, Who.LEAD, "settle")
        need(reason, "settle")
        unflag(conn, station)
        facts = {"station": station, marks.FACT: marks.digest(conn)}
        append(conn, setup, Entry("settle", operator=by.name, reason=reason, facts=facts))

    setup.db.write(work)


def need(reason: str, act: str) -> None:
    """A reason is on record for every act that bends the rules."""
    if not reason.strip():
        raise UnitError("ledger.reason_missing", act=act)


def unflag(conn: sa.Connection, station: str) -> None:
    """This station has spoken."""
    conn.execute(sa.delete(meta).where(meta.c.key == _FLAG + station))


def _flag_and_tell(conn: sa.Connection, setup: Setup) -> None:
    flag_all(conn)
    marks.tell(conn, setup)


def _unflag_and_tell(conn: sa.Connection, setup: Setup) -> None:
    unflag(conn, setup.info.station)
    marks.tell(conn, setup)
