"""Moving an assignment by the transition table, and telling the log: the one place that does."""

from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UnitError
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import assignment
from eol_inject.ledger.transitions import Act, State, transition

_MOVE: Final = Prepared(
    sa.update(assignment)
    .where(assignment.c.id == sa.bindparam("a"), assignment.c.state == sa.bindparam("source"))
    .values(
        prev_state=sa.bindparam("source"),
        act=sa.bindparam("by"),
        state=sa.bindparam("target"),
        changed_at=sa.bindparam("at"),
    )
)


@dataclass(frozen=True, slots=True)
class Place:
    """An assignment as it stands now."""

    assignment: int
    token: int
    unit: int
    state: State


def move(conn: sa.Connection, setup: Setup, place: Place, act: Act, entry: Entry) -> Place:
    """Do ``act``: change the state, append ``entry`` with the ids and states filled in.

    Raises ``UnitError("ledger.illegal_act")`` where the table has no such row, and
    ``StationError("ledger.changed_meanwhile")`` where somebody else moved it first.
    """
    step = transition(place.state, act)
    if step is None:
        raise UnitError("ledger.illegal_act", act=act.value, state=place.state.value)
    if step.needs_reason and not entry.reason.strip():
        raise UnitError("ledger.reason_missing", act=act.value)
    moved = _MOVE.run(
        conn,
        {
            "a": place.assignment,
            "source": place.state,
            "by": act,
            "target": step.target,
            "at": setup.now(),
        },
    )
    if not moved:
        raise StationError("ledger.changed_meanwhile")
    append(
        conn,
        setup,
        replace(
            entry,
            act=act.value,
            unit=place.unit,
            token=place.token,
            assignment=place.assignment,
            source=place.state,
            target=step.target,
        ),
    )
    return replace(place, state=step.target)
