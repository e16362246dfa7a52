"""What rework at the desk means for the unit's next cycle.

``reinject`` and ``clear`` leave the token in ``writing``, where a cycle goes on by itself. Two
things need a look here. After ``replace`` the unit still holds its former token: it may be written
over, since the ledger says whose it was and that it is given up (line-failures 9), and nothing else
may. And a write that failed quarantined the unit: once it reads blank, nothing is left to look at.
"""

from eol_inject.ledger import Act, Cycle, Hold, Ledger, Standing, State
from eol_inject.unit import AuthToken, Unit
from eol_inject.verify import Findings, Holding, distinct

BLANK_AGAIN = "the whole region reads blank"

_UNWRITTEN = {"", State.RESERVED}
_STANDS_THERE = {Holding.OWN, Holding.TORN}


def is_former(ledger: Ledger, auth: AuthToken, unit: Unit) -> bool:
    """Whether the unit had this token until a lead replaced it."""
    holder = ledger.look_up(auth)
    return (
        holder is not None
        and holder.state is State.REPLACED
        and holder.unit is not None
        and any(one in unit.identifiers for one in holder.unit.identifiers)
    )


def was_replaced(
    ledger: Ledger, role: str, state: str, *, holding: Holding, findings: Findings, unit: Unit
) -> bool:
    """Whether what stands in the unit is nothing but what was replaced.

    Half of a token has no fingerprint: then the unit's record has to say that it was replaced.
    """
    if state not in _UNWRITTEN or holding not in _STANDS_THERE:
        return False
    tokens = distinct(findings)
    if tokens:
        return all(is_former(ledger, auth, unit) for auth in tokens)
    record = ledger.show(unit.primary)
    return any(one.state is State.REPLACED and one.role == role for one in record.assignments)


def may_clear_itself(ledger: Ledger, cycle: Cycle, standing: Standing) -> bool:
    """Whether a blank read-back is enough to end this quarantine.

    Only for one that a cycle itself declared while it was writing. What a person stopped, a person
    clears; and a unit that ever was ``written`` and reads blank was erased, or is a clone of one
    that still holds the token (line-failures 22).
    """
    if standing.state is not State.QUARANTINED or standing.hold is not Hold.NONE:
        return False
    record = ledger.show(cycle.unit.primary)
    stops = [e for e in record.events if e.act == Act.QUARANTINE and e.target is not None]
    return bool(stops) and stops[-1].source is State.WRITING and stops[-1].attempt != ""
