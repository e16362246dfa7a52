"""How a cycle of a new unit begins on a server: a look, and one statement that writes it all.

As ``one_trip``: by the same rules as in steps, all of it or nothing. A unit that is known by now,
or an event that somebody else appended meanwhile, is refused by the unique indexes; then it goes
by steps.
"""

from dataclasses import replace
from functools import cache
from typing import Any, Final, cast

import sqlalchemy as sa

from eol_inject.ledger import attempts, gate, identity
from eol_inject.ledger.chain import GENESIS, Head, Setup, follow
from eol_inject.ledger.lease import LEASE_S, Holding
from eol_inject.ledger.model import CycleFacts
from eol_inject.ledger.postgresql import PostgresqlDatabase
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import attempt, event, identifier, lease, now, unit
from eol_inject.unit import Unit

_AGREED: Final = ("u", "s", "t", "w", "a")
"""Names of what several rows say: unit, station, time, operator, attempt."""


def _given(column: sa.Column[Any], name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=column.type)


_ATTEMPT: Final = {
    column.name: _given(column, f"a_{column.name}") for column in attempt.c if column.name != "n"
}


@cache
def _look(names: int) -> Prepared:
    """The gate; the chain's end; and the number of a new unit, unless one of its names is known."""
    numbers: sa.ColumnElement[str] = sa.literal_column("pg_get_serial_sequence('unit', 'id')")
    station = _given(event.c.station, "s")
    last = (
        sa.select(event.c.seq, event.c.hash)
        .where(event.c.station == station)
        .order_by(event.c.seq.desc())
        .limit(sa.literal_column("1"))
        .subquery("last")
    )
    one = sa.select(sa.literal_column("1").label("n")).subquery("one")
    number = sa.case(
        (
            ~sa.exists(sa.select(identifier.c.unit).where(identity.any_of(names))),
            sa.func.nextval(numbers),
        )
    )
    return Prepared(
        gate.LOOK.add_columns(number.label("unit"), last.c.seq, last.c.hash).select_from(
            one.outerjoin(last, sa.true())
        )
    )


@cache
def _begin(names: int) -> Prepared:
    """Unit, identifiers, lease, attempt, and an event for each identifier and the attempt."""
    u, s, t, w, a = (
        _given(column, name)
        for column, name in zip(
            (unit.c.id, event.c.station, event.c.at, event.c.operator, event.c.attempt),
            _AGREED, strict=True,
        )
    )  # fmt: skip
    none: sa.ColumnElement[Any] = sa.null()
    first = _given(event.c.seq, "n")
    named = [
        {
            "kind": _given(identifier.c.kind, f"k{place}"),
            "value": _given(identifier.c.value, f"v{place}"), "unit": u,
            "is_primary": sa.literal_column(str(int(not place))),
        }
        for place in range(names)
    ]  # fmt: skip
    told = [
        {
            "station": s, "seq": first + sa.literal_column(str(place)), "at": t,
            "act": _given(event.c.act, f"e{place}"), "operator": w, "unit": u, "token": none,
            "assignment": none, "attempt": a if place == names else none, "from_state": none,
            "to_state": none, "reason": sa.literal_column("''"),
            "facts": _given(event.c.facts, f"f{place}"),
            "prev_hash": _given(event.c.hash, f"h{place}"),
            "hash": _given(event.c.hash, f"h{place + 1}"),
        }
        for place in range(names + 1)
    ]  # fmt: skip
    fresh: dict[str, sa.ColumnElement[str]] = {
        "hold": sa.literal_column("''"),
        "hold_reason": sa.literal_column("''"),
    }
    held = {
        "unit": u, "fence": sa.literal_column("1"), "attempt": a, "station": s,
        "slot": _ATTEMPT["slot"], "taken": now(),
        "expires": now() + sa.literal_column(str(LEASE_S)),
    }  # fmt: skip
    written = (
        sa.insert(unit).values(id=u, created_at=t, **fresh).cte("a_unit"),
        sa.insert(identifier).values(named).cte("its_names"),
        sa.insert(lease).values(held).cte("its_lease"),
        sa.insert(attempt).values(_ATTEMPT).cte("its_attempt"),
        sa.insert(event).values(told).cte("told"),
    )
    return Prepared(sa.select(u.label("unit")).add_cte(*written))


def begin(
    setup: Setup, wanted: Unit, held: Holding, facts: CycleFacts
) -> tuple[Holding, Unit] | None:
    """The lease of a unit that nobody saw before, and the unit; None where it goes by steps."""
    others = set(wanted.identifiers) - {wanted.primary}
    names = [wanted.primary, *sorted(others, key=lambda one: one.kind)]
    if len({one.kind for one in names}) < len(names):
        return None
    database = cast("PostgresqlDatabase", setup.db)
    remembered = gate.last(setup)
    values: dict[str, Any] = {}
    for place, one in enumerate(names):
        values |= {f"k{place}": one.kind, f"v{place}": one.value}
    row = database.ask(_look(len(names)), values | gate.values(setup, remembered))
    if row is None or row.unit is None or not gate.is_open(setup, row, remembered):
        return None
    number, at, station = int(row.unit), setup.now(), setup.info.station
    begun = attempts.row_of(setup, held, number, facts)
    entries = [
        *(
            identity.entry_of(number, one, primary=not place, by=held.operator)
            for place, one in enumerate(names)
        ),
        attempts.entry_of(held, attempts.BEGUN, begun),
    ]
    head = Head(0, GENESIS) if row.seq is None else Head(int(row.seq), bytes(row.hash))
    values |= {"u": number, "s": station, "t": at, "w": held.operator, "a": held.attempt}
    values |= {"n": head.seq + 1, "h0": head.hash}
    values |= {f"a_{name}": value for name, value in begun.items()}
    for place, entry in enumerate(entries):
        told = follow(head, station, at, entry)
        head = Head(told["seq"], told["hash"])
        values |= {f"e{place}": entry.act, f"f{place}": told["facts"], f"h{place + 1}": head.hash}
    if database.at_once(_begin(len(names)), values) is None:
        return None
    return replace(held, unit=number, fence=1), Unit(names[0], tuple(names[1:]))
