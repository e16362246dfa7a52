"""Which token a unit gets: its own bound one, or the next of the lot; nobody else's."""

import json
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import StationError, UnitError
from eol_inject.ledger import identity
from eol_inject.ledger.chain import Setup
from eol_inject.ledger.model import Reserved
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found, binding, identifier, token
from eol_inject.ledger.transitions import State
from eol_inject.ledger.vault import Vault
from eol_inject.unit import Identifier, Secret

# Written into the statement, not bound: a partial index is used only where the planner can see
# that the condition holds.
_FREE: Final = sa.and_(
    token.c.state == sa.literal_column("'available'"), token.c.bound == sa.literal_column("0")
)

_COLUMNS: Final = (
    token.c.id, token.c.uid, token.c.auth, token.c.public, token.c.secrets, token.c.auth_print,
    token.c.claim_print,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """From where a run may draw."""

    product: str
    organization: int | None
    """None where the profile leaves it open."""
    lot: str

    def refuse_other(self, product: str, organization: int | None, lot: str) -> None:
        """Raise ``UnitError`` where a unit's token is not of this run: each its own code."""
        if product != self.product:
            raise UnitError("ledger.other_product", known=product, wanted=self.product)
        if self.organization is not None and organization != self.organization:
            raise UnitError(
                "ledger.other_organization", known=organization, wanted=self.organization
            )
        if lot != self.lot:
            raise UnitError("ledger.other_lot", known=lot, wanted=self.lot)


def next_token(
    *, any_organization: bool, only: sa.ColumnElement[bool] | None = None
) -> sa.UpdateBase:
    """Take the next unbound token of product ``p`` and lot ``l``, and organization ``o``.

    Asked for as a range of rows, in the order of the pool's own index: with ``=`` a server that
    knows its tables walks the primary key instead, past every token that was ever taken
    (measured: 45 ms after 50,000 of them; 0.05 ms this way). ``only``: where that holds.
    """
    place = sa.tuple_(token.c.product, token.c.lot)
    wanted = sa.tuple_(sa.bindparam("p", type_=sa.Text()), sa.bindparam("l", type_=sa.Text()))
    pick = (
        sa.select(token.c.id)
        .where(_FREE, place >= wanted, place <= wanted)
        .order_by(token.c.product, token.c.lot, token.c.id)
        .limit(sa.literal_column("1"))
        .with_for_update(skip_locked=True)
    )
    if not any_organization:
        pick = pick.where(token.c.organization == sa.bindparam("o"))
    if only is not None:
        pick = pick.where(only)
    return _taking(token.c.id == pick.scalar_subquery())


def _taking(which: sa.ColumnElement[bool]) -> sa.UpdateBase:
    values: dict[str, sa.ColumnElement[str]] = {"state": sa.literal_column("'taken'")}
    return sa.update(token).where(which).values(values).returning(*_COLUMNS)


_NEXT: Final = Prepared(next_token(any_organization=False))
_NEXT_OF_ANY: Final = Prepared(next_token(any_organization=True))
_THIS: Final = Prepared(
    _taking(sa.and_(token.c.id == sa.bindparam("t"), token.c.state == "available"))
)

BINDINGS: Final = (
    sa.select(sa.func.count())
    .select_from(
        binding.join(
            identifier,
            sa.and_(identifier.c.kind == binding.c.kind, identifier.c.value == binding.c.value),
        )
    )
    .where(identifier.c.unit == sa.bindparam("u"), binding.c.live == sa.literal_column("1"))
    .scalar_subquery()
)
"""How many bindings name the unit ``u``; part of the one statement a reservation begins with."""

_BOUND: Final = (
    sa.select(token.c.id, token.c.product, token.c.organization, token.c.lot, token.c.state)
    .select_from(
        binding.join(
            identifier,
            sa.and_(identifier.c.kind == binding.c.kind, identifier.c.value == binding.c.value),
        ).join(token, token.c.id == binding.c.token)
    )
    .where(identifier.c.unit == sa.bindparam("u"), binding.c.live == 1, token.c.state != "revoked")
    .distinct()
)


_LEFT: Final = sa.select(
    sa.func.count().label("all"),
    sa.func.count()
    .filter(
        token.c.state == "available",
        sa.exists().where(binding.c.token == token.c.id, binding.c.live == 1),
    )
    .label("bound"),
).where(token.c.product == sa.bindparam("p"), token.c.lot == sa.bindparam("l"))
"""Why a lot gives nothing: tokens of it in all, and free ones that belong to certain units."""


def _counting(*more: sa.ColumnElement[bool]) -> Prepared:
    some = (
        sa.select(token.c.id)
        .where(_FREE, token.c.product == sa.bindparam("p"), token.c.lot == sa.bindparam("l"), *more)
        .limit(sa.bindparam("most", type_=sa.BigInteger()))
        .subquery()
    )
    return Prepared(sa.select(sa.func.count().label("free")).select_from(some))


_LEFT_OF_ANY: Final = _counting()
_LEFT_OF_ONE: Final = _counting(token.c.organization == sa.bindparam("o"))


def left(conn: sa.Connection, wanted: Wanted, at_most: int) -> int:
    """How many free tokens there are that belong to nobody in particular, up to ``at_most``."""
    values = {"p": wanted.product, "l": wanted.lot, "most": at_most}
    if wanted.organization is None:
        return int(_LEFT_OF_ANY.first(conn, values).free)
    return int(_LEFT_OF_ONE.first(conn, {**values, "o": wanted.organization}).free)


def from_pool(conn: sa.Connection, wanted: Wanted) -> Found:
    """Take the next unbound token of the lot. Raises ``StationError``: ``ledger.pool_empty``,
    ``ledger.no_such_lot``, ``ledger.only_bound_left``."""
    values = {"p": wanted.product, "l": wanted.lot}
    if wanted.organization is None:
        row: Found | None = _NEXT_OF_ANY.first(conn, values)
    else:
        row = _NEXT.first(conn, {**values, "o": wanted.organization})
    if row is None:
        raise nothing_left(conn, wanted)
    return row


def nothing_left(conn: sa.Connection, wanted: Wanted) -> StationError:
    """Why the lot gives no token."""
    left = conn.execute(_LEFT, {"p": wanted.product, "l": wanted.lot}).one()
    if not left.all:
        return StationError("ledger.no_such_lot", product=wanted.product, lot=wanted.lot)
    if left.bound:
        return StationError("ledger.only_bound_left", lot=wanted.lot, count=left.bound)
    return StationError(
        "ledger.pool_empty",
        product=wanted.product,
        lot=wanted.lot,
        organization=wanted.organization if wanted.organization is not None else "any",
    )


def bound_to(
    conn: sa.Connection, setup: Setup, unit_id: int, wanted: Wanted, *, by: str
) -> Found | None:
    """Take the token that belongs to this unit; None where none does.

    Raises ``UnitError`` where it is of another product, organization or lot, is in use, or where
    the unit's identifiers contradict those the token was made for.
    """
    rows = conn.execute(_BOUND, {"u": unit_id}).all()
    if not rows:
        return None
    fitting = [
        row
        for row in rows
        if (row.product, row.lot) == (wanted.product, wanted.lot)
        and wanted.organization in (None, row.organization)
    ]
    if not fitting:
        wanted.refuse_other(rows[0].product, rows[0].organization, rows[0].lot)
    if len(fitting) > 1:
        raise UnitError("ledger.bound_twice", count=len(fitting))
    _adopt(conn, setup, unit_id, fitting[0].id, by)
    taken: Found | None = _THIS.first(conn, {"t": fitting[0].id})
    if taken is None:
        raise UnitError("ledger.bound_taken")
    return taken


def reserved(vault: Vault, row: Found, added: int, state: State, *, resumed: bool) -> Reserved:
    """What a reservation hands out of the token in ``row``."""
    fields: dict[str, str | Secret] = dict(json.loads(row.public))
    if row.secrets is not None:
        fields.update(vault.open_secrets(row.uid, row.secrets))
    return Reserved(
        assignment=added,
        state=state,
        auth=vault.open_auth(row.uid, row.auth),
        fields=fields,
        resumed=resumed,
        has_claim_code=row.claim_print is not None,
    )


def _adopt(conn: sa.Connection, setup: Setup, unit_id: int, token_id: int, by: str) -> None:
    """The unit is known by everything its token was made for, from now on."""
    known = {one.kind: one for one in identity.identifiers(conn, unit_id)}
    for kind, value in conn.execute(
        sa.select(binding.c.kind, binding.c.value).where(binding.c.token == token_id)
    ).all():
        made_for = Identifier(kind, value)
        if known.get(kind, made_for) != made_for:
            raise UnitError(
                "ledger.identity_contradicts", given=str(known[kind]), known=str(made_for)
            )
        if kind not in known:
            owner = conn.execute(
                sa.select(identifier.c.unit).where(
                    identifier.c.kind == kind, identifier.c.value == value
                )
            ).scalar_one_or_none()
            if owner is not None:
                raise UnitError(
                    "ledger.identity_contradicts",
                    given=str(made_for),
                    known="another unit than this one",
                )
            identity.add(conn, setup, unit_id, made_for, primary=False, by=by)
