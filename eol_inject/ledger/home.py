"""Where a ledger lives: a copied file, or two stations under one name, must not both draw.

An SQLite ledger lives on one computer; a shared one knows each station's computer.
"""

from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UnitError
from eol_inject.ledger import marks, people
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.people import Person
from eol_inject.ledger.schema import meta, station
from eol_inject.ledger.settling import flag_all
from eol_inject.ledger.transitions import Who

HOME: Final = "home"


def refuse_elsewhere(setup: Setup) -> None:
    """Raise ``StationError``: ``ledger.copied``, ``ledger.station_taken``.

    The first computer to begin a cycle is the right one; a move is an ``adopt`` by a lead.
    """
    host = setup.host
    if host is None:
        return

    def look(conn: sa.Connection) -> tuple[str | None, str | None]:
        home = conn.execute(sa.select(meta.c.value).where(meta.c.key == HOME)).scalar_one_or_none()
        known = conn.execute(
            sa.select(station.c.host).where(station.c.name == setup.info.station)
        ).scalar_one_or_none()
        return home, known

    home, known = setup.db.read(look)
    if not setup.db.shared and home not in (None, host):
        raise StationError("ledger.copied", home=home, host=host)
    if setup.db.shared and known not in (None, host):
        raise StationError("ledger.station_taken", station=setup.info.station, host=known)
    if home is None or (setup.db.shared and known is None):
        setup.db.write(lambda conn: _settle_in_and_tell(conn, setup, host))


def adopt(setup: Setup, by: Person, reason: str) -> None:
    """The ledger, or this station, moved here for good; the old place must not go on with it.

    As after a restore, every station has to compare its memory first.
    """
    if not reason.strip():
        raise UnitError("ledger.reason_missing", act="adopt")
    host = setup.host or ""

    def work(conn: sa.Connection) -> None:
        people.require(conn, setup, by, Who.LEAD, "adopt")
        conn.execute(sa.delete(meta).where(meta.c.key == HOME))
        conn.execute(sa.delete(station).where(station.c.name == setup.info.station))
        _settle_in(conn, setup, host)
        if not setup.db.shared:
            flag_all(conn)
        facts = {"host": host, marks.FACT: marks.digest(conn)}
        append(conn, setup, Entry("adopt", operator=by.name, reason=reason, facts=facts))

    setup.db.write(work)


def forget(conn: sa.Connection) -> None:
    """After a restore: the next computer to begin a cycle is the right one."""
    conn.execute(sa.delete(meta).where(meta.c.key == HOME))


def _settle_in_and_tell(conn: sa.Connection, setup: Setup, host: str) -> None:
    _settle_in(conn, setup, host)
    marks.tell(conn, setup)


def _settle_in(conn: sa.Connection, setup: Setup, host: str) -> None:
    if not conn.execute(sa.select(meta.c.key).where(meta.c.key == HOME)).first():
        conn.execute(sa.insert(meta), {"key": HOME, "value": host})
    name = setup.info.station
    known = conn.execute(sa.select(station.c.name).where(station.c.name == name)).first()
    if setup.db.shared and known is None:
        conn.execute(sa.insert(station), {"name": name, "host": host, "since": setup.now()})
