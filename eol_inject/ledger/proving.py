"""From the token that was read back to the label's record: the only way to a claim code."""

import json
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import UnitError
from eol_inject.ledger.chain import Setup
from eol_inject.ledger.moves import Place
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found, assignment, token
from eol_inject.ledger.transitions import State
from eol_inject.unit import AuthToken, ClaimCode, Proof, Proven, Unit

_FOUND: Final = Prepared(
    sa.select(token, assignment.c.id.label("assignment"), assignment.c.unit.label("unit"))
    .select_from(
        token.outerjoin(
            assignment,
            sa.and_(assignment.c.token == token.c.id, assignment.c.state != "available"),
        )
    )
    .where(token.c.auth_print == sa.bindparam("f"))
)
_STORED: Final = (
    sa.select(token, assignment.c.id.label("assignment"), assignment.c.proof, assignment.c.role)
    .select_from(token.join(assignment, assignment.c.token == token.c.id))
    .where(assignment.c.id == sa.bindparam("a"))
)
_PROVED: Final = (State.VERIFIED, State.LABELLED, State.CLOSED)
"""States that only a proof leads to, and in which nothing was done to the unit since."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """A token that was read back from the unit it belongs to."""

    assignment: int
    claim: ClaimCode | None
    product: str
    lot: str
    fields: dict[str, str]

    def proven(self, unit: Unit, role: str, proof: Proof) -> Proven | None:
        """What a label is made from; None for a token that has no QR code."""
        if self.claim is None:
            return None
        return Proven(
            unit=unit,
            role=role,
            assignment=self.assignment,
            claim=self.claim,
            product=self.product,
            lot=self.lot,
            proof=proof,
            fields=self.fields,
        )


def read_back_of(conn: sa.Connection, setup: Setup, place: Place, auth: AuthToken) -> ReadBack:
    """The record of the token that was read, found by its fingerprint alone.

    Raises ``UnitError("ledger.not_proven")`` unless it is the live assignment at ``place``.
    """
    row: Found | None = _FOUND.first(conn, {"f": setup.vault.print_of_auth(auth)})
    if row is None:
        raise UnitError("ledger.not_proven", why="no ledger entry has the token that was read")
    if row.assignment is None:
        raise UnitError("ledger.not_proven", why="the token that was read is still in the pool")
    if row.unit != place.unit:
        raise UnitError("ledger.not_proven", why="the token that was read is another unit's")
    if row.assignment != place.assignment:
        raise UnitError("ledger.not_proven", why="the unit holds a token it should not have now")
    if row.state == "revoked":
        raise UnitError("ledger.not_proven", why="the token that was read was revoked")
    return _read_back(setup, row)


def stored(conn: sa.Connection, setup: Setup, place: Place, unit: Unit) -> Proven | None:
    """What was proved of this unit, from the record of it: for another copy of its label.

    None for a token without a QR code. Raises ``UnitError("ledger.not_proven")`` unless its token
    was read back, and nothing has happened to it since.
    """
    row = conn.execute(_STORED, {"a": place.assignment}).one()
    if place.state not in _PROVED or not row.proof:
        raise UnitError("ledger.not_proven", why=f"its token is {place.state}")
    if row.state == "revoked":
        raise UnitError("ledger.not_proven", why="its token was revoked")
    return _read_back(setup, row).proven(unit, row.role, Proof(row.proof))


def _read_back(setup: Setup, row: Found) -> ReadBack:
    claim = None if row.claim is None else setup.vault.open_claim(row.uid, row.claim)
    return ReadBack(
        assignment=row.assignment,
        claim=claim,
        product=row.product,
        lot=row.lot,
        fields=json.loads(row.public),
    )
