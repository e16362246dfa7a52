"""A unit as it stands at this moment of a transaction, and whether it may go on."""

from typing import Final

import sqlalchemy as sa

from eol_inject.errors import UnitError
from eol_inject.ledger import draw, labels
from eol_inject.ledger.model import Hold, LabelState
from eol_inject.ledger.moves import Place
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found, assignment, lease, now, token, unit
from eol_inject.ledger.transitions import HOLDS, LIVE, State

_LIVE_SQL: Final = assignment.c.state.in_([sa.literal_column(f"'{state}'") for state in LIVE])

STAND_STATEMENT: Final = (
    sa.select(
        lease.c.fence,
        (lease.c.expires - now()).label("left"),
        unit.c.hold,
        unit.c.hold_reason,
        assignment.c.id.label("assignment"),
        assignment.c.state,
        assignment.c.label,
        token.c.id.label("token"),
        token.c.uid,
        token.c.auth,
        token.c.public,
        token.c.secrets,
        token.c.auth_print,
        token.c.claim_print,
        token.c.claim_tail,
        token.c.product,
        token.c.organization,
        token.c.lot,
        token.c.state.label("pool"),
        draw.BINDINGS.label("bindings"),
    )
    .select_from(
        lease.join(unit, unit.c.id == lease.c.unit)
        .outerjoin(
            assignment,
            sa.and_(
                assignment.c.unit == lease.c.unit,
                assignment.c.role == sa.bindparam("r"),
                _LIVE_SQL,
            ),
        )
        .outerjoin(token, token.c.id == assignment.c.token)
    )
    .where(lease.c.unit == sa.bindparam("u"))
    .with_for_update(of=lease)
)
STAND: Final = Prepared(STAND_STATEMENT)
"""Lease, unit, live assignment and its token in one go; locks the unit's lease row."""


def refuse_erased(row: Found) -> None:
    """Raise ``UnitError("ledger.unit_erased")`` where a unit that reads blank was written."""
    if row.state in HOLDS and not row.hold:
        raise UnitError("ledger.unit_erased", state=row.state, tail=row.claim_tail or "none")


def refuse_held(row: Found) -> None:
    """Raise ``UnitError`` where somebody stopped the unit: each reason its own code."""
    tail, why = row.claim_tail or "none", row.hold_reason
    match Hold(row.hold):
        case Hold.NONE:
            pass
        case Hold.BLOCKED:
            raise UnitError("ledger.unit_blocked", why=why, tail=tail)
        case Hold.RECALL:
            raise UnitError("ledger.unit_recall", why=why, tail=tail)
        case Hold.SCRAPPED:
            raise UnitError("ledger.unit_scrapped", why=why, tail=tail)


def refuse_revoked(row: Found) -> None:
    """Raise ``UnitError("ledger.unit_recall")`` where the unit's token is dead."""
    if row.pool == "revoked":
        tail = row.claim_tail or "none"
        raise UnitError("ledger.unit_recall", why="its token was revoked", tail=tail)


def refuse(row: Found) -> None:
    """Raise ``UnitError`` where the unit must not go on: each reason its own code."""
    refuse_held(row)
    tail, state = row.claim_tail or "none", row.state
    if state == State.QUARANTINED:
        raise UnitError("ledger.unit_quarantined", tail=tail)
    if state == State.CLOSED:
        raise UnitError("ledger.unit_closed", tail=tail, lot=row.lot)


def hold(conn: sa.Connection, unit_id: int, why: str) -> bool:
    """Block a unit that nobody stopped yet; whether that was so."""
    stopped = conn.execute(
        sa.update(unit)
        .where(unit.c.id == unit_id, unit.c.hold == Hold.NONE.value)
        .values(hold=Hold.BLOCKED, hold_reason=why)
    )
    return bool(stopped.rowcount)


def void_label(conn: sa.Connection, place: Place) -> None:
    """A label that may be stuck somewhere no longer counts."""
    conn.execute(
        sa.update(assignment)
        .where(assignment.c.id == place.assignment, assignment.c.label != LabelState.NONE.value)
        .values(label=LabelState.VOID)
    )
    labels.void_all(conn, place.assignment)
