"""Every try leaves a record, also one that failed before the identity was known."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from eol_inject.errors import Param
from eol_inject.events import Outcome
from eol_inject.ledger.chain import Entry, Setup, append, digest_of_row
from eol_inject.ledger.model import CycleFacts, Tried
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import attempt, event
from eol_inject.ledger.transitions import Act
from eol_inject.unit import Proof

if TYPE_CHECKING:
    from eol_inject.ledger.lease import Holding

TOLD: Final = tuple(column for column in attempt.c if column.name != "n")
"""Columns of an attempt that its events vouch for: all that is known of it."""

_STANDS: Final = Prepared(sa.select(attempt.c.id).where(attempt.c.id == sa.bindparam("a")))
_ADD: Final = Prepared(sa.insert(attempt), columns=[column.name for column in TOLD])
_ENDED: Final = ("ended_at", "outcome", "code", "detail", "proof", "times")
_FINISH: Final = Prepared(
    sa.update(attempt)
    .where(attempt.c.id == sa.bindparam("a"), attempt.c.outcome.is_(None))
    .values(
        {name: sa.bindparam(name) for name in _ENDED}
        | {"facts": sa.func.coalesce(sa.bindparam("facts", type_=sa.Text()), attempt.c.facts)}
    )
    .returning(*TOLD)
)
_AT_SLOT: Final = Prepared(
    sa.select(attempt.c.unit, attempt.c.outcome, attempt.c.code)
    .where(
        attempt.c.station == sa.bindparam("s"),
        attempt.c.slot == sa.bindparam("p"),
        attempt.c.outcome.is_not(None),
    )
    .order_by(attempt.c.n.desc())
    .limit(sa.bindparam("most", type_=sa.BigInteger()))
)
_OUTCOMES: Final = Prepared(
    sa.select(attempt.c.outcome)
    .where(attempt.c.unit == sa.bindparam("u"))
    .order_by(attempt.c.n.desc())
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended."""

    outcome: Outcome
    code: str
    detail: str
    proof: Proof | None
    times: Mapping[str, float]
    """Seconds by step."""
    facts: CycleFacts | None
    """What is known now, where that is more than at the start."""


def start(
    conn: sa.Connection, setup: Setup, held: "Holding", unit: int | None, facts: CycleFacts
) -> None:
    """The attempt's row, before anything can go wrong; asked again, it stands already."""
    if _STANDS.first(conn, {"a": held.attempt}):
        return
    row = row_of(setup, held, unit, facts)
    _ADD.run(conn, row)
    append(conn, setup, entry_of(held, BEGUN, row))


BEGUN: Final = "attempt_begun"


def row_of(
    setup: Setup, held: "Holding", unit: int | None, facts: CycleFacts
) -> dict[str, str | int | None]:
    """A new attempt."""
    return {
        "id": held.attempt, "unit": unit, "station": setup.info.station, "slot": held.slot,
        "operator": held.operator, "started_at": setup.now(), "ended_at": None, "outcome": None,
        "code": "", "detail": "", "proof": "", "facts": to_text(facts), "times": "{}",
    }  # fmt: skip


def finish(conn: sa.Connection, setup: Setup, held: "Holding", ending: Ending) -> None:
    """How the attempt ended, in its row and in the log; only the first answer counts."""
    values: dict[str, Any] = {
        "a": held.attempt, "ended_at": setup.now(), "outcome": ending.outcome,
        "code": ending.code, "detail": ending.detail, "proof": ending.proof or "",
        "times": json.dumps(dict(ending.times)),
        "facts": None if ending.facts is None else to_text(ending.facts),
    }  # fmt: skip
    ended = _FINISH.first(conn, values)
    if ended is not None:
        told = {"outcome": ending.outcome, "code": ending.code}
        append(conn, setup, entry_of(held, "attempt", ended._asdict(), **told))


def entry_of(held: "Holding", act: str, row: Mapping[str, Any], **facts: Param) -> Entry:
    """What the log tells of ``row``, vouching for it: nobody changes it afterwards unseen."""
    return Entry(
        act,
        operator=held.operator,
        unit=row["unit"],
        attempt=held.attempt,
        facts={**facts, "row": digest_of_row(row)},
    )


def at_slot(conn: sa.Connection, station: str, slot: str, count: int) -> tuple[Tried, ...]:
    """The last ``count`` attempts that ended in a slot, newest first."""
    rows = _AT_SLOT.all(conn, {"s": station, "p": slot, "most": count})
    return tuple(Tried(row.unit, row.outcome, row.code) for row in rows)


def of_unit(conn: sa.Connection, unit: int, count: int) -> tuple[Tried, ...]:
    """The unit's attempts since somebody did something about it by name, newest first."""
    rows = conn.execute(
        sa.select(event.c.act, event.c.attempt, event.c.facts)
        .where(event.c.unit == unit, event.c.act.in_((*_BY_NAME, "attempt")))
        .order_by(event.c.id.desc())
        .limit(count)
    )
    found: list[Tried] = []
    for row in rows:
        if row.act == "attempt":
            said = json.loads(row.facts)
            found.append(Tried(unit, said["outcome"], said["code"]))
        elif row.attempt is None:
            break
    return tuple(found)


_BY_NAME: Final = (Act.CLEAR, Act.REINJECT, Act.REPLACE, Act.RELEASE)
"""After these a unit starts anew; a cycle that clears its own quarantine has an attempt's id."""


def port(conn: sa.Connection, which: str) -> str:
    """The port of the attempt with this id; empty where it was not told."""
    facts = conn.execute(sa.select(attempt.c.facts).where(attempt.c.id == which)).scalar()
    return from_text(facts).port if facts else ""


def count(conn: sa.Connection, unit: int) -> tuple[int, int]:
    """All attempts on the unit, and how many of the latest that ended failed in a row."""
    rows = _OUTCOMES.all(conn, {"u": unit})
    failed = 0
    for (outcome,) in rows:
        if outcome == Outcome.PASS:
            break
        failed += outcome is not None
    return len(rows), failed


def to_text(facts: CycleFacts) -> str:
    """As it is stored."""
    values = {one.name: getattr(facts, one.name) for one in fields(facts)}
    values["versions"] = dict(facts.versions)
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def from_text(text: str) -> CycleFacts:
    """As ``to_text`` stored it; names that another version of this program wrote are left out."""
    known = {one.name for one in fields(CycleFacts)}
    return CycleFacts(**{name: value for name, value in json.loads(text).items() if name in known})
