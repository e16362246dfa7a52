"""A ledger that was restored: nobody draws from it until every station has said what it knows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UnitError
from eol_inject.ledger import identity, people
from eol_inject.ledger.chain import Entry, Setup, append, head
from eol_inject.ledger.model import LabelState
from eol_inject.ledger.moves import Place, move
from eol_inject.ledger.people import Person
from eol_inject.ledger.schema import assignment, event, meta, token
from eol_inject.ledger.transitions import LIVE, Act, State, Who
from eol_inject.ledger.witness import Handed, Witness
from eol_inject.unit import Unit

_FLAG: Final = "unsettled:"
_FLAGS: Final = sa.select(meta.c.key).where(meta.c.key.startswith(_FLAG, autoescape=True))


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    known: int
    """Handed out, and on record."""
    replayed: int
    """On record again, as ``writing``: the unit may hold it, and resumes with it."""
    set_aside: int
    """Revoked instead, since the unit or the token is in another's hands by now."""


def refuse_unsettled(setup: Setup) -> None:
    """Raise ``StationError`` where tokens in use may look available.

    ``ledger.behind_witness`` for this station's own memory, ``ledger.no_witness`` where it lost
    that memory, ``ledger.unsettled`` where another station has not spoken yet.
    """

    def look(conn: sa.Connection) -> tuple[bool, list[str]]:
        behind = setup.witness is not None and setup.witness.behind(conn)
        return behind, [str(key).removeprefix(_FLAG) for key in conn.execute(_FLAGS).scalars()]

    behind, waiting = setup.db.read(look)
    station = setup.info.station
    if behind:
        if station not in waiting:
            setup.db.write(flag_all)
        raise StationError("ledger.behind_witness", station=station)
    if station in waiting:
        _memory(setup)
        setup.db.write(lambda conn: _unflag(conn, station))
        waiting.remove(station)
    if waiting:
        raise StationError("ledger.unsettled", stations=", ".join(sorted(waiting)))


def _memory(setup: Setup) -> Witness:
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
    known = set(conn.execute(_FLAGS).scalars())
    rows = [{"key": _FLAG + one, "value": ""} for one in stations if _FLAG + one not in known]
    if rows:
        conn.execute(sa.insert(meta), rows)


def drawing(conn: sa.Connection) -> set[str]:
    """The stations that ever drew a token."""
    drew = sa.select(event.c.station).where(event.c.act == Act.RESERVE.value).distinct()
    return set(conn.execute(drew).scalars())


def replay(setup: Setup, by: Person, reason: str) -> Replayed:
    """Put what this station remembers on record again.

    Raises ``StationError("ledger.replay_incomplete")`` where tokens are missing altogether: their
    source has to be imported again first.
    """
    witness = _memory(setup)
    handed = list(witness.handed_out())

    def work(conn: sa.Connection) -> Replayed:
        people.require(conn, setup, by, Who.OPERATOR, "replay")
        _need(reason, "replay")
        found = [(one, row) for one in handed if (row := _token(conn, one)) is not None]
        if len(found) < len(handed):
            raise StationError("ledger.replay_incomplete", count=len(handed) - len(found))
        counts = {"known": 0, "replayed": 0, "set_aside": 0}
        entry = Entry("replay", operator=by.name, reason=reason)
        for one, row in found:
            counts[_again(conn, setup, one, row, entry)] += 1
        append(conn, setup, replace(entry, facts=dict(counts)))
        _unflag(conn, setup.info.station)
        return Replayed(**counts)

    done = setup.db.write(work)
    witness.settle(setup.db.read(lambda conn: head(conn, setup.info.station)))
    return done


def settle(setup: Setup, station: str, by: Person, reason: str) -> None:
    """A named person vouches for a station that cannot speak any more.

    Not for this one: what it remembers is replayed. Raises ``StationError("ledger.own_memory")``.
    """
    memory = setup.witness
    if station == setup.info.station and memory is not None and memory.remembers():
        raise StationError("ledger.own_memory", station=station)

    def work(conn: sa.Connection) -> None:
        people.require(conn, setup, by, Who.LEAD, "settle")
        _need(reason, "settle")
        _unflag(conn, station)
        facts = {"station": station}
        append(conn, setup, Entry("settle", operator=by.name, reason=reason, facts=facts))

    setup.db.write(work)


def _need(reason: str, act: str) -> None:
    if not reason.strip():
        raise UnitError("ledger.reason_missing", act=act)


def _unflag(conn: sa.Connection, station: str) -> None:
    conn.execute(sa.delete(meta).where(meta.c.key == _FLAG + station))


def _token(conn: sa.Connection, handed: Handed) -> tuple[int, str] | None:
    row = conn.execute(
        sa.select(token.c.id, token.c.state).where(token.c.auth_print == handed.print)
    ).first()
    return None if row is None else (int(row.id), str(row.state))


def _again(
    conn: sa.Connection, setup: Setup, handed: Handed, row: tuple[int, str], entry: Entry
) -> str:
    """Which of the counts this one belongs to."""
    token_id, state = row
    if state == "revoked":
        return "known"
    owner = conn.execute(
        sa.select(assignment.c.unit).where(
            assignment.c.token == token_id, assignment.c.state != State.AVAILABLE
        )
    ).scalar_one_or_none()
    unit_id = _unit(conn, setup, handed)
    if unit_id is not None and owner == unit_id:
        return "known"
    if unit_id is None or owner is not None or _occupied(conn, unit_id, handed.role):
        conn.execute(sa.update(token).where(token.c.id == token_id).values(state="revoked"))
        facts = {"set_aside": str(handed.unit[0])}
        append(conn, setup, replace(entry, token=token_id, facts=facts))
        return "set_aside"
    conn.execute(sa.update(token).where(token.c.id == token_id).values(state="taken"))
    place = _assign(conn, setup, handed, Place(0, token_id, unit_id, State.RESERVED), entry)
    # `writing`, since the unit may hold it already: nobody else ever gets it.
    move(conn, setup, place, Act.BEGIN, entry)
    return "replayed"


def _unit(conn: sa.Connection, setup: Setup, handed: Handed) -> int | None:
    """None where its identifiers name several units by now."""
    try:
        return identity.find_or_add(conn, Unit(handed.unit[0], handed.unit[1:]), now=setup.now())
    except UnitError:
        return None


def _occupied(conn: sa.Connection, unit_id: int, role: str) -> bool:
    live = sa.select(assignment.c.id).where(
        assignment.c.unit == unit_id, assignment.c.role == role, assignment.c.state.in_(LIVE)
    )
    return conn.execute(live).first() is not None


def _assign(conn: sa.Connection, setup: Setup, handed: Handed, place: Place, entry: Entry) -> Place:
    at = setup.now()
    added = conn.execute(
        sa.insert(assignment).returning(assignment.c.id),
        {
            "token": place.token, "unit": place.unit, "role": handed.role,
            "prev_state": State.AVAILABLE, "act": Act.RESERVE, "state": State.RESERVED,
            "request": f"replay:{handed.head.hash.hex()}", "proof": "",
            "label": LabelState.NONE, "opened_at": at, "changed_at": at,
        },
    ).scalar_one()  # fmt: skip
    reserved = replace(
        entry, act=Act.RESERVE.value, unit=place.unit, token=place.token, assignment=int(added),
        source=State.AVAILABLE, target=State.RESERVED, facts={"replay": handed.head.seq},
    )  # fmt: skip
    append(conn, setup, reserved)
    return replace(place, assignment=int(added))
