"""The read side: whose token is this, what happened to this unit, how many are left."""

import json
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import UsageError
from eol_inject.events import Outcome
from eol_inject.ledger import attempts, identity, labels
from eol_inject.ledger.model import (
    AssignmentRecord,
    AttemptRecord,
    Count,
    EventRecord,
    Hold,
    Holder,
    LabelState,
    Lot,
    Todo,
    UnitRecord,
)
from eol_inject.ledger.schema import (
    Found,
    assignment,
    attempt,
    event,
    identifier,
    source,
    todo,
    token,
    unit,
)
from eol_inject.ledger.transitions import LIVE, State
from eol_inject.ledger.vault import Vault
from eol_inject.unit import SELF_ROLE, AuthToken, ClaimCode, Identifier, grouped

_HELD: Final = sa.and_(assignment.c.token == token.c.id, assignment.c.state != "available")
_HOLDER: Final = sa.select(
    token.c.product,
    token.c.organization,
    token.c.lot,
    token.c.claim_tail,
    token.c.state.label("pool"),
    assignment.c.unit,
    assignment.c.role,
    assignment.c.state,
    labels.STANDS,
).select_from(token.outerjoin(assignment, _HELD))


def look_up(conn: sa.Connection, vault: Vault, auth: AuthToken) -> Holder | None:
    """Whose token this is; None for one the ledger never saw."""
    row = conn.execute(_HOLDER.where(token.c.auth_print == vault.print_of_auth(auth))).first()
    return None if row is None else _holder(conn, row)


def look_up_claim(conn: sa.Connection, vault: Vault, claim: ClaimCode) -> Holder | None:
    """Whose label this is; None for a code the ledger never saw."""
    row = conn.execute(_HOLDER.where(token.c.claim_print == vault.print_of_claim(claim))).first()
    return None if row is None else _holder(conn, row)


def status(conn: sa.Connection) -> tuple[Count, ...]:
    """Tokens by product, organization, lot and state, in that order."""
    state = sa.case((token.c.state == "taken", assignment.c.state), else_=token.c.state).label(
        "state"
    )
    columns = (token.c.product, token.c.organization, token.c.lot, state)
    rows = conn.execute(
        sa.select(*columns, sa.func.count().label("tokens"))
        .select_from(token.outerjoin(assignment, _HELD))
        .group_by(*columns)
        .order_by(*columns[:3])
    ).all()
    order = list(State)
    counts = [
        Count(row.product, row.organization, row.lot, State(row.state), row.tokens) for row in rows
    ]
    return tuple(
        sorted(counts, key=lambda c: (c.product, c.organization or 0, c.lot, order.index(c.state)))
    )


def show(conn: sa.Connection, vault: Vault, which: Identifier | ClaimCode) -> UnitRecord:
    """Everything about one unit. Raises ``UsageError("ledger.unknown_unit")``."""
    return _unit_record(conn, find_unit(conn, vault, which))


def find_unit(conn: sa.Connection, vault: Vault, which: Identifier | ClaimCode) -> int:
    """The unit's id. Raises ``UsageError("ledger.unknown_unit")``."""
    if isinstance(which, ClaimCode):
        found = conn.execute(
            sa.select(assignment.c.unit)
            .select_from(token.join(assignment, _HELD))
            .where(token.c.claim_print == vault.print_of_claim(which))
        ).scalar_one_or_none()
    else:
        found = conn.execute(
            sa.select(identifier.c.unit).where(
                identifier.c.kind == which.kind, identifier.c.value == which.value
            )
        ).scalar_one_or_none()
    if found is None:
        raise UsageError("ledger.unknown_unit", which=str(which))
    return int(found)


def lots(conn: sa.Connection) -> tuple[Lot, ...]:
    """Every lot with what is left of it, the newest last."""
    left = sa.func.sum(sa.case((token.c.state == "available", 1), else_=0))
    dead = sa.func.sum(sa.case((token.c.state == "revoked", 1), else_=0))
    columns = (token.c.product, token.c.organization, token.c.lot)
    rows = conn.execute(
        sa.select(*columns, sa.func.count(), left, dead, sa.func.min(source.c.at))
        .select_from(token.join(source, source.c.id == token.c.source))
        .group_by(*columns)
        .order_by(sa.func.min(token.c.id))
    )
    return tuple(
        Lot(product, organization, lot, int(total), int(free), int(revoked), at)
        for product, organization, lot, total, free, revoked, at in rows
    )


def todos(conn: sa.Connection, *, closed: bool) -> tuple[Todo, ...]:
    """What the cloud still has to be told; with ``closed``, what it was told too."""
    query = (
        sa.select(todo, token.c.product, token.c.lot, token.c.claim_tail)
        .select_from(todo.join(token, token.c.id == todo.c.token))
        .order_by(todo.c.id)
    )
    if not closed:
        query = query.where(todo.c.closed_at.is_(None))
    return tuple(
        Todo(
            number=row.id,
            act=row.act,
            product=row.product,
            lot=row.lot,
            claim_tail=row.claim_tail,
            why=row.why,
            opened_at=row.opened_at,
            opened_by=row.opened_by,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            closed_how=row.closed_how,
        )
        for row in conn.execute(query)
    )


def unit_of(conn: sa.Connection, value: str) -> tuple[Identifier, ...]:
    """Every identifier with this value, of whatever kind: for a value typed without its kind."""
    value = value.strip()
    rows = conn.execute(
        sa.select(identifier.c.kind, identifier.c.value).where(
            identifier.c.value.in_({value, value.lower(), grouped(value)})
        )
    )
    return tuple(Identifier(kind, known) for kind, known in rows)


def _holder(conn: sa.Connection, row: Found) -> Holder:
    revoked = row.pool == "revoked"
    state = State(row.state) if row.state else State.REVOKED if revoked else State.AVAILABLE
    return Holder(
        unit=None if row.unit is None else identity.load(conn, row.unit),
        product=row.product,
        organization=row.organization,
        lot=row.lot,
        state=state,
        label=LabelState(row.label or LabelState.NONE),
        claim_tail=row.claim_tail,
        live=state in LIVE,
        revoked=revoked,
        role=row.role or SELF_ROLE,
    )


def _unit_record(conn: sa.Connection, unit_id: int) -> UnitRecord:
    row = conn.execute(sa.select(unit).where(unit.c.id == unit_id)).one()
    return UnitRecord(
        unit=identity.load(conn, unit_id),
        hold=Hold(row.hold),
        reason=row.hold_reason,
        assignments=tuple(_assignments(conn, unit_id)),
        attempts=tuple(
            _attempt(one)
            for one in conn.execute(
                sa.select(attempt).where(attempt.c.unit == unit_id).order_by(attempt.c.n)
            )
        ),
        events=tuple(
            _event(one)
            for one in conn.execute(
                sa.select(event).where(event.c.unit == unit_id).order_by(event.c.id)
            )
        ),
    )


def _assignments(conn: sa.Connection, unit_id: int) -> list[AssignmentRecord]:
    rows = conn.execute(
        sa.select(
            assignment,
            token.c.product,
            token.c.organization,
            token.c.lot,
            token.c.claim_tail,
            token.c.public,
            token.c.state.label("pool"),
            labels.STANDS.label("stands"),
        )
        .select_from(assignment.join(token, token.c.id == assignment.c.token))
        .where(assignment.c.unit == unit_id)
        .order_by(assignment.c.id)
    )
    return [
        AssignmentRecord(
            id=row.id,
            role=row.role,
            state=State(row.state),
            product=row.product,
            organization=row.organization,
            lot=row.lot,
            claim_tail=row.claim_tail,
            proof=row.proof,
            label=LabelState(row.stands),
            revoked=row.pool == "revoked",
            fields=json.loads(row.public),
            opened_at=row.opened_at,
            changed_at=row.changed_at,
        )
        for row in rows
    ]


def _attempt(row: Found) -> AttemptRecord:
    return AttemptRecord(
        id=row.id,
        station=row.station,
        slot=row.slot,
        operator=row.operator,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        code=row.code,
        proof=row.proof,
        facts=attempts.from_text(row.facts),
        times=json.loads(row.times),
        log=row.detail,
    )


def _event(row: Found) -> EventRecord:
    return EventRecord(
        seq=row.seq,
        station=row.station,
        at=row.at,
        act=row.act,
        operator=row.operator,
        source=None if row.from_state is None else State(row.from_state),
        target=None if row.to_state is None else State(row.to_state),
        reason=row.reason,
        facts=json.loads(row.facts),
        attempt=row.attempt or "",
    )
