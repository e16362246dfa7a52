"""The states of an assignment and the one table of what may lead where.

``TRANSITIONS`` fills the database's ``transition`` table, which every assignment refers to with a
foreign key, so the database refuses what is not written here. Documentation and the stateful test
are checked against it too.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a token stands with its unit; ``available`` is also an assignment that was released."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    WRITING = "writing"
    WRITTEN = "written"
    VERIFIED = "verified"
    LABELLED = "labelled"
    CLOSED = "closed"
    QUARANTINED = "quarantined"
    REPLACED = "replaced"
    SCRAPPED = "scrapped"
    REVOKED = "revoked"


class Act(StrEnum):
    """What moves an assignment; ``revoke`` moves a token, and only flags the unit that holds it."""

    RESERVE = "reserve"
    BEGIN = "begin"
    RELEASE = "release"
    WRITTEN = "written"
    PROVE = "prove"
    LABEL = "label"
    CLOSE = "close"
    QUARANTINE = "quarantine"
    CLEAR = "clear"
    REINJECT = "reinject"
    REPLACE = "replace"
    SCRAP = "scrap"
    REVOKE = "revoke"


class Who(StrEnum):
    """The least a person must be; ``station`` acts inside a cycle and needs nobody."""

    STATION = "station"
    OPERATOR = "operator"
    LEAD = "lead"
    QA = "qa"
    ENGINEER = "engineer"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: ``source`` with ``act`` becomes ``target``."""

    source: State
    act: Act
    target: State
    who: Who
    needs_reason: bool = False


WRITTEN_TO: Final = (State.WRITING, State.WRITTEN, State.VERIFIED, State.LABELLED, State.CLOSED)
"""The unit's flash may hold the token: nobody else ever gets it."""

LIVE: Final = (State.RESERVED, *WRITTEN_TO, State.QUARANTINED)
"""States that occupy a unit's role."""

HOLDS: Final = (State.WRITTEN, State.VERIFIED, State.LABELLED, State.CLOSED)
"""The ledger says that the unit holds its token: one that reads blank was erased, or is a clone."""


def _rows() -> tuple[Transition, ...]:
    s, a, w = State, Act, Who
    return (
        Transition(s.AVAILABLE, a.RESERVE, s.RESERVED, w.STATION),
        Transition(s.AVAILABLE, a.REVOKE, s.REVOKED, w.LEAD, needs_reason=True),
        Transition(s.RESERVED, a.BEGIN, s.WRITING, w.STATION),
        Transition(s.RESERVED, a.RELEASE, s.AVAILABLE, w.STATION),
        Transition(s.WRITING, a.WRITTEN, s.WRITTEN, w.STATION),
        Transition(s.WRITTEN, a.PROVE, s.VERIFIED, w.STATION),
        Transition(s.VERIFIED, a.LABEL, s.LABELLED, w.STATION),
        Transition(s.LABELLED, a.CLOSE, s.CLOSED, w.STATION),
        *(
            Transition(state, a.QUARANTINE, s.QUARANTINED, w.STATION, needs_reason=True)
            for state in WRITTEN_TO
        ),
        # Back to `writing`, never to the pool: the same unit tries again with its own token.
        Transition(s.QUARANTINED, a.CLEAR, s.WRITING, w.LEAD, needs_reason=True),
        *(Transition(state, a.REINJECT, s.WRITING, w.LEAD, needs_reason=True) for state in HOLDS),
        # Quarantined as well: a unit whose token was revoked half-way must have a way to a new one.
        *(
            Transition(state, a.REPLACE, s.REPLACED, w.LEAD, needs_reason=True)
            for state in (s.VERIFIED, s.LABELLED, s.CLOSED, s.QUARANTINED)
        ),
        *(
            Transition(state, a.SCRAP, s.SCRAPPED, w.LEAD, needs_reason=True)
            for state in (*LIVE, s.REPLACED)
        ),
    )


TRANSITIONS: Final = _rows()
"""Every legal move; a pair of states has one act at most."""

_BY: Final = {(row.source, row.act): row for row in TRANSITIONS}


def transition(source: State, act: Act) -> Transition | None:
    """The row for ``act`` in ``source``, or None where the act is not allowed."""
    return _BY.get((source, act))
