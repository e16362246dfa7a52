"""What the cycle does next, from what the ledger says and what the unit holds.

The table is the whole rule (DESIGN: "The way of a unit", "States of an assignment"): only a blank
unit, or one that holds its own token, goes on; a torn region goes on only where the ledger says
that this very unit was being written. What was replaced counts as nothing (``rework``).
"""

from enum import StrEnum

from eol_inject.errors import UnitError
from eol_inject.verify import Findings, Holding, torn_error


class Next(StrEnum):
    """Where the cycle goes on."""

    WRITE = "write"
    """Reserve (again the same token, where there is one), patch, write, prove, label."""
    PROVE = "prove"
    """The token stands in the unit already: read it back, prove it, label."""
    LABEL = "label"
    """Proved before: read it back again, then label."""


_GO_ON: dict[tuple[str, Holding], Next] = {
    ("", Holding.BLANK): Next.WRITE,
    ("reserved", Holding.BLANK): Next.WRITE,
    ("writing", Holding.BLANK): Next.WRITE,
    ("writing", Holding.OWN): Next.WRITE,
    ("writing", Holding.TORN): Next.WRITE,
    ("written", Holding.OWN): Next.PROVE,
    ("verified", Holding.OWN): Next.LABEL,
    ("labelled", Holding.OWN): Next.LABEL,
}
"""(state of the unit's live assignment, '' = none; what the unit holds) → what to do."""

_STOPS = {
    Holding.OTHER_UNIT: "verify.holds_other_unit",
    Holding.POOL: "verify.holds_pool_token",
    Holding.UNKNOWN: "verify.holds_unknown_token",
    Holding.DISAGREEING: "verify.places_disagree",
}


def decide(
    state: str, holding: Holding, findings: Findings, *, unit: str, replaced: bool = False
) -> Next:
    """Where to go on. ``replaced``: what stands there is nothing but what was replaced.

    Raises ``UnitError``: the code of what the unit holds, or ``verify.holds_unreserved`` where it
    holds its own token and the ledger says that it was never written. (A blank unit that the ledger
    says was written is the ledger's to refuse: ``Cycle.expect``.)
    """
    going_on = _GO_ON.get((state, holding))
    if going_on is not None:
        return going_on
    if replaced:
        return Next.WRITE
    state = state or "none"
    if holding is Holding.TORN:
        raise torn_error(findings, unit=unit, state=state)
    raise UnitError(_STOPS.get(holding, "verify.holds_unreserved"), unit=unit, state=state)
