"""What a reservation needs of a server, in fewer round trips: each costs more than its work.

A pool's answer to many stations at once is bound by the number of statements. On SQLite, where a
statement is a function call, ``draw`` and ``cycle`` do the same one step at a time.
"""

from typing import Any, Final

import sqlalchemy as sa

from eol_inject.ledger import draw
from eol_inject.ledger.chain import GENESIS, Head
from eol_inject.ledger.postgresql import chain_lock
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found, assignment, event
from eol_inject.ledger.standing import STAND_STATEMENT

STAND_AND_LOCK: Final = Prepared(
    STAND_STATEMENT.add_columns(chain_lock(sa.bindparam("s", type_=sa.Text())).label("locked"))
)
"""As ``standing.STAND``, and nobody else appends to the chain of the station ``s`` meanwhile: the
chain's head, read by the next statement, stays its head."""

_GIVEN: Final = tuple(column for column in assignment.c if column.name not in {"id", "token"})
"""What is said about a new assignment beforehand."""


def _taking(*, any_organization: bool) -> Prepared:
    taken = draw.next_token(any_organization=any_organization).cte("taken")
    values = [sa.bindparam(f"a_{column.name}", type_=column.type) for column in _GIVEN]
    added = (
        sa.insert(assignment)
        .from_select(
            [assignment.c.token, *_GIVEN], sa.select(taken.c.id, *values).select_from(taken)
        )
        .returning(assignment.c.id)
        .cte("added")
    )
    last = (
        sa.select(event.c.seq, event.c.hash)
        .where(event.c.station == sa.bindparam("s"))
        .order_by(event.c.seq.desc())
        .limit(sa.literal_column("1"))
        .subquery("last")
    )
    return Prepared(
        sa.select(taken, added.c.id.label("added"), last.c.seq, last.c.hash).select_from(
            taken.join(added, sa.true()).outerjoin(last, sa.true())
        )
    )


_TAKE: Final = _taking(any_organization=False)
_TAKE_OF_ANY: Final = _taking(any_organization=True)


def take(
    conn: sa.Connection, wanted: draw.Wanted, station: str, values: dict[str, Any]
) -> tuple[Found, int, Head]:
    """The next token of the lot, its new assignment, and what the station's chain ends with.

    ``values``: of the assignment, by column. Raises what ``draw.from_pool`` raises.
    """
    given = {f"a_{name}": value for name, value in values.items()}
    given |= {"p": wanted.product, "l": wanted.lot, "s": station}
    if wanted.organization is None:
        row: Found | None = _TAKE_OF_ANY.first(conn, given)
    else:
        row = _TAKE.first(conn, {**given, "o": wanted.organization})
    if row is None:
        raise draw.nothing_left(conn, wanted)
    before = Head(0, GENESIS) if row.seq is None else Head(int(row.seq), bytes(row.hash))
    return row, int(row.added), before
