"""What the cycle does next, from what the ledger says and what the unit holds.

The table is the whole rule (DESIGN: "The way of a unit", "States of an assignment"): only a blank
unit, or one that holds its own token, goes on; a torn region goes on only where the ledger says
that this very unit was being written.
"""

from enum import StrEnum

from eol_inject.errors import EolError, UnitError
from eol_inject.verify import Holding


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

_STOPS: dict[Holding, str] = {
    Holding.OTHER_UNIT: "verify.holds_other_unit",
    Holding.POOL: "verify.holds_pool_token",
    Holding.UNKNOWN: "verify.holds_unknown_token",
    Holding.DISAGREEING: "verify.places_disagree",
    Holding.TORN: "verify.region_torn",
}


def decide(state: str, holding: Holding, *, unit: str) -> Next:
    """Where to go on.

    Raises ``UnitError``: the code of what the unit holds, ``ledger.unit_erased`` where the ledger
    says that a blank unit was written, ``verify.holds_unreserved`` where it is the other way.
    """
    going_on = _GO_ON.get((state, holding))
    if going_on is not None:
        return going_on
    raise _why_not(state, holding, unit)


def _why_not(state: str, holding: Holding, unit: str) -> EolError:
    if holding in _STOPS:
        return UnitError(_STOPS[holding], unit=unit, state=state or "none")
    if holding is Holding.BLANK:
        return UnitError("ledger.unit_erased", unit=unit, state=state)
    return UnitError("verify.holds_unreserved", unit=unit, state=state or "none")
