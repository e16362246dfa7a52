"""What the cloud has to be told about tokens that are given up: delete, unclaim."""

from collections.abc import Iterable

import sqlalchemy as sa

from eol_inject.errors import Param
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.schema import todo, token
from eol_inject.unit import StaticToken


def ask(conn: sa.Connection, setup: Setup, token_id: int, act: str, why: str, *, by: str) -> None:
    """Open a to-do, once."""
    known = conn.execute(
        sa.select(todo.c.id).where(
            todo.c.token == token_id, todo.c.act == act, todo.c.closed_at.is_(None)
        )
    ).first()
    if known is None:
        row = {
            "token": token_id, "act": act, "why": why, "opened_at": setup.now(), "opened_by": by,
        }  # fmt: skip
        number = conn.execute(sa.insert(todo).returning(todo.c.id), row).scalar_one()
        facts: dict[str, Param] = {"todo": int(number), "what": act, "why": why}
        append(conn, setup, Entry("todo", operator=by, token=token_id, facts=facts))


def settle(
    conn: sa.Connection, setup: Setup, which: sa.ColumnElement[bool], *, by: str, how: str
) -> int:
    """Close the open to-dos that ``which`` selects; how many."""
    closed = conn.execute(
        sa.update(todo)
        .where(which, todo.c.closed_at.is_(None))
        .values(closed_at=setup.now(), closed_by=by, closed_how=how)
        .returning(todo.c.id)
    ).all()
    if closed:
        numbers = " ".join(str(number) for number in sorted(row.id for row in closed))
        append(conn, setup, Entry("todo_done", operator=by, reason=how, facts={"todos": numbers}))
    return len(closed)


def prints(setup: Setup, tokens: Iterable[StaticToken]) -> frozenset[bytes]:
    """Fingerprints of the tokens that an export still has."""
    return frozenset(setup.vault.print_of_auth(one.auth) for one in tokens)


def deleted(conn: sa.Connection, product: str, present: frozenset[bytes]) -> list[int]:
    """Open ``delete`` to-dos whose token the export lacks.

    Only of lots of which it still has a token: an export may cover a part of the product.
    """
    rows = conn.execute(
        sa.select(token.c.id, token.c.lot, token.c.auth_print).where(token.c.product == product)
    )
    lots: set[str] = set()
    absent: dict[int, str] = {}
    for row in rows:
        if bytes(row.auth_print) in present:
            lots.add(row.lot)
        else:
            absent[int(row.id)] = row.lot
    waiting = conn.execute(
        sa.select(todo.c.id, todo.c.token).where(todo.c.closed_at.is_(None), todo.c.act == "delete")
    )
    return [int(row.id) for row in waiting if absent.get(row.token) in lots]
