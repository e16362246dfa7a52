"""The units of a lot, a line each: what a report is made from."""

from dataclasses import dataclass

import sqlalchemy as sa

from eol_inject.ledger import labels
from eol_inject.ledger.model import Hold, LabelState
from eol_inject.ledger.schema import assignment, attempt, identifier, token, unit
from eol_inject.ledger.transitions import State


@dataclass(frozen=True, slots=True)
class UnitLine:
    """One token of one unit, public facts only."""

    unit: str
    """Its primary identifier."""
    role: str
    state: State
    hold: Hold
    product: str
    lot: str
    claim_tail: str
    label: LabelState
    proof: str
    attempts: int
    """Of the unit, good and bad."""
    changed_at: str


def units(conn: sa.Connection, *, lot: str | None) -> tuple[UnitLine, ...]:
    """Every unit that has, or had, a token of ``lot`` (None: of any), in the order they got it."""
    tries = (
        sa.select(attempt.c.unit, sa.func.count().label("attempts"))
        .group_by(attempt.c.unit)
        .subquery()
    )
    statement = (
        sa.select(
            identifier.c.value.label("name"),
            assignment.c.role,
            assignment.c.state,
            unit.c.hold,
            token.c.product,
            token.c.lot,
            token.c.claim_tail,
            labels.STANDS,
            assignment.c.proof,
            sa.func.coalesce(tries.c.attempts, 0).label("attempts"),
            assignment.c.changed_at,
        )
        .select_from(
            assignment.join(token, token.c.id == assignment.c.token)
            .join(unit, unit.c.id == assignment.c.unit)
            .join(
                identifier,
                sa.and_(identifier.c.unit == unit.c.id, identifier.c.is_primary == 1),
            )
            .outerjoin(tries, tries.c.unit == unit.c.id)
        )
        .where(assignment.c.state != State.AVAILABLE.value)
        .order_by(assignment.c.id)
    )
    if lot is not None:
        statement = statement.where(token.c.lot == lot)
    return tuple(
        UnitLine(
            unit=row.name,
            role=row.role,
            state=State(row.state),
            hold=Hold(row.hold),
            product=row.product,
            lot=row.lot,
            claim_tail=row.claim_tail,
            label=LabelState(row.label),
            proof=row.proof,
            attempts=row.attempts,
            changed_at=row.changed_at,
        )
        for row in conn.execute(statement)
    )
