"""Whose the tokens on a unit are: the question that decides whether a cycle may go on.

Every place counts, not only the one in use: after a rollback, or once the saved configuration is
gone, the firmware would look there.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from eol_inject.errors import UnitError
from eol_inject.unit import AuthToken, Unit
from eol_inject.verify.content import PlaceState
from eol_inject.verify.places import Findings, Place, TableState


class Holding(StrEnum):
    """What a unit holds. Only BLANK and OWN go on (DESIGN: "The way of a unit")."""

    BLANK = "blank"
    OWN = "own"
    OTHER_UNIT = "other_unit"
    POOL = "pool"
    """A token that the ledger has, and that no unit is known to have."""
    UNKNOWN = "unknown"
    """A token that this ledger never saw."""
    DISAGREEING = "disagreeing"
    """Two tokens."""
    TORN = "torn"
    """Half written: goes on only where the ledger says that this very unit was being written."""


class Holder(Protocol):
    """What the ledger says of a token it knows."""

    @property
    def unit(self) -> Unit | None:
        """The unit it was given to, None while it is in the pool."""
        ...


LookUp = Callable[[AuthToken], Holder | None]
"""A token's holder; None for a token that the ledger does not know."""


def classify(findings: Findings, *, own: Unit, look_up: LookUp) -> Holding:
    """What ``findings`` mean for the unit ``own``.

    Raises ``UnitError("verify.encrypted")`` where a place cannot be read at all.
    """
    for place in findings.places:
        if place.state is PlaceState.ENCRYPTED:
            raise UnitError("verify.encrypted", place=place.name)
    if findings.table is TableState.ENCRYPTED and findings.trouble is not None:
        raise findings.trouble
    tokens = distinct(findings)
    torn = findings.table is TableState.CORRUPT or any(
        place.state is PlaceState.TORN for place in findings.places
    )
    if not tokens:
        return Holding.TORN if torn else Holding.BLANK
    if len(tokens) > 1:
        return Holding.DISAGREEING
    whose = _whose(look_up(tokens[0]), own)
    return Holding.TORN if torn and whose is Holding.OWN else whose


def distinct(findings: Findings) -> list[AuthToken]:
    """Every token found, each once, in the order of the places."""
    tokens: list[AuthToken] = []
    for place in findings.places:
        if place.auth is not None and place.auth not in tokens:
            tokens.append(place.auth)
    return tokens


def disagreement(findings: Findings) -> str:
    """The places that hold a token, as one public phrase."""
    return ", ".join(place.name for place in findings.places if place.auth is not None)


def torn_error(findings: Findings, *, unit: str, state: str) -> UnitError:
    """Why a torn unit stops: ``verify.table_corrupt``, or ``verify.region_torn`` with the place."""
    if findings.trouble is not None:
        return findings.trouble
    torn = [place for place in findings.places if place.state is PlaceState.TORN]
    return UnitError("verify.region_torn", unit=unit, state=state, place=_told(torn))


def _told(torn: list[Place]) -> str:
    return "; ".join(f"{place.name}: {place.why}" for place in torn) or "?"


def _whose(holder: Holder | None, own: Unit) -> Holding:
    if holder is None:
        return Holding.UNKNOWN
    if holder.unit is None:
        return Holding.POOL
    same = any(identifier in own.identifiers for identifier in holder.unit.identifiers)
    return Holding.OWN if same else Holding.OTHER_UNIT
