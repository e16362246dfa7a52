"""Moving what names a unit: a token's binding before it is used, or an identifier."""

import sqlalchemy as sa

from eol_inject.errors import UnitError
from eol_inject.ledger import identity
from eol_inject.ledger.chain import Setup
from eol_inject.ledger.schema import binding, identifier, token
from eol_inject.unit import Identifier, Unit


def unbind(conn: sa.Connection, token_id: int) -> None:
    """The token belongs to nobody any more; its unit may be given another one."""
    conn.execute(sa.update(binding).where(binding.c.token == token_id).values(live=0))


def move_binding(conn: sa.Connection, which: Identifier, to: Identifier) -> None:
    """Pool tokens made for ``which`` belong to ``to``.

    Raises ``UnitError``: ``ledger.nothing_bound``, ``bound_taken``, ``bound_twice``.
    """
    rows = conn.execute(
        sa.select(token.c.state)
        .select_from(binding.join(token, token.c.id == binding.c.token))
        .where(_live(which))
    ).all()
    if not rows:
        raise UnitError("ledger.nothing_bound", which=str(which))
    if any(row.state != "available" for row in rows):
        raise UnitError("ledger.bound_taken")
    if conn.execute(sa.select(binding.c.token).where(_live(to))).first() is not None:
        raise UnitError("ledger.bound_twice", count=2)
    conn.execute(sa.update(binding).where(_live(which)).values(value=to.value))


def move_identifier(
    conn: sa.Connection, setup: Setup, which: Identifier, to: Identifier, *, by: str
) -> int:
    """``which`` names the unit ``to`` from now on; the answer is that unit's id.

    ``which`` may be known only by the tokens that were made for it, as a number on a housing is
    that no station can read. Raises ``UnitError``: ``ledger.nothing_bound``, ``primary_stays``,
    ``identity_contradicts``.
    """
    this = sa.and_(identifier.c.kind == which.kind, identifier.c.value == which.value)
    row = conn.execute(sa.select(identifier.c.is_primary).where(this)).first()
    if row is None:
        bound = conn.execute(sa.select(binding.c.token).where(_live(which))).first()
        if bound is None:
            raise UnitError("ledger.nothing_bound", which=str(which))
        return identity.find_or_add(conn, setup, Unit(to, (which,)), by=by)
    if row.is_primary:
        raise UnitError("ledger.primary_stays", which=str(which))
    target = identity.find_or_add(conn, setup, Unit(to), by=by)
    if any(one.kind == which.kind for one in identity.identifiers(conn, target)):
        raise UnitError("ledger.identity_contradicts", given=str(which), known=str(to))
    conn.execute(sa.update(identifier).where(this).values(unit=target))
    return target


def _live(which: Identifier) -> sa.ColumnElement[bool]:
    return sa.and_(
        binding.c.kind == which.kind, binding.c.value == which.value, binding.c.live == 1
    )
