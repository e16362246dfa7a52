"""Which unit this is, by its identifiers; contradictions stop here (line-failures 22)."""

from functools import cache
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import Param, UnitError
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import identifier, unit
from eol_inject.unit import Identifier, Unit

_ADD_UNIT: Final = Prepared(
    sa.insert(unit).returning(unit.c.id), columns=["hold", "hold_reason", "created_at"]
)
_ADD: Final = Prepared(sa.insert(identifier), columns=[column.name for column in identifier.c])
_NAMES: Final = Prepared(
    sa.select(identifier.c.kind, identifier.c.value)
    .where(identifier.c.unit == sa.bindparam("u"))
    .order_by(identifier.c.is_primary.desc(), identifier.c.kind)
)


def find(conn: sa.Connection, wanted: Unit) -> int | None:
    """The unit's id; None where none of its identifiers is known.

    Raises ``UnitError("ledger.identity_contradicts")`` where they belong to several units, or
    where the unit is known by another value of the same kind.
    """
    known = _owners(conn, wanted)
    if not known:
        return None
    owners = set(known.values())
    if len(owners) > 1:
        one, other = sorted(known, key=str)[:2]
        raise UnitError(
            "ledger.identity_contradicts",
            given=str(one),
            known=f"another unit than {other}",
        )
    (owner,) = owners
    _refuse_other_values(conn, owner, wanted)
    return owner


def find_or_add(conn: sa.Connection, setup: Setup, wanted: Unit, *, by: str) -> int:
    """The unit's id; a new unit, and new identifiers of a known one, are added and told."""
    found = find(conn, wanted)
    if found is None:
        fresh = {"hold": "", "hold_reason": "", "created_at": setup.now()}
        found = int(_ADD_UNIT.first(conn, fresh).id)
    known = set(identifiers(conn, found))
    for one in dict.fromkeys(wanted.identifiers):
        if one not in known:
            primary = one == wanted.primary and not known
            add(conn, setup, found, one, primary=primary, by=by)
    return found


def add(
    conn: sa.Connection, setup: Setup, unit_id: int, one: Identifier, *, primary: bool, by: str
) -> None:
    """``one`` names the unit from now on; the log tells so."""
    row = {"kind": one.kind, "value": one.value, "unit": unit_id, "is_primary": int(primary)}
    _ADD.run(conn, row)
    append(conn, setup, entry_of(unit_id, one, primary=primary, by=by))


def entry_of(unit_id: int, one: Identifier, *, primary: bool, by: str) -> Entry:
    """What the log tells of ``one``."""
    facts: dict[str, Param] = {"kind": one.kind, "value": one.value, "primary": int(primary)}
    return Entry("identified", operator=by, unit=unit_id, facts=facts)


def identifiers(conn: sa.Connection, unit_id: int) -> tuple[Identifier, ...]:
    """All that name the unit, primary first."""
    return tuple(Identifier(kind, value) for kind, value in _NAMES.all(conn, {"u": unit_id}))


def load(conn: sa.Connection, unit_id: int) -> Unit:
    """The unit as the ledger knows it."""
    primary, *others = identifiers(conn, unit_id)
    return Unit(primary, tuple(others))


def _owners(conn: sa.Connection, wanted: Unit) -> dict[Identifier, int]:
    pairs = [(one.kind, one.value) for one in wanted.identifiers]
    kinds: dict[str, str] = {}
    for kind, value in pairs:
        if kinds.setdefault(kind, value) != value:
            raise UnitError(
                "ledger.identity_contradicts",
                given=f"{kind}:{value}",
                known=f"{kind}:{kinds[kind]}",
            )
    values: dict[str, str] = {}
    for place, (kind, value) in enumerate(pairs):
        values |= {f"k{place}": kind, f"v{place}": value}
    rows = _owning(len(pairs)).all(conn, values)
    return {Identifier(kind, value): owner for kind, value, owner in rows}


@cache
def _owning(names: int) -> Prepared:
    return Prepared(
        sa.select(identifier.c.kind, identifier.c.value, identifier.c.unit).where(any_of(names))
    )


def any_of(names: int) -> sa.ColumnElement[bool]:
    """Kind and value are those of one of ``names`` identifiers, given as ``k0``, ``v0``, …"""
    return sa.or_(
        *(
            sa.and_(
                identifier.c.kind == sa.bindparam(f"k{place}", type_=identifier.c.kind.type),
                identifier.c.value == sa.bindparam(f"v{place}", type_=identifier.c.value.type),
            )
            for place in range(names)
        )
    )


def _refuse_other_values(conn: sa.Connection, owner: int, wanted: Unit) -> None:
    given = {one.kind: one for one in wanted.identifiers}
    for known in identifiers(conn, owner):
        other = given.get(known.kind)
        if other is not None and other != known:
            raise UnitError("ledger.identity_contradicts", given=str(other), known=str(known))
