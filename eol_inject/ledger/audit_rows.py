"""Every row of every table held against what the log tells of it; what does not fit is named.

A ledger that is older than its log's habit of telling everything (no ``founded`` event) is judged
by what its log does tell: a row that no event knows is then passed over.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

import sqlalchemy as sa

from eol_inject.errors import EolError
from eol_inject.ledger import attempts, marks
from eol_inject.ledger.chain import Setup, digest_of_row
from eol_inject.ledger.labels import CONSTANT
from eol_inject.ledger.model import Finding, Hold
from eol_inject.ledger.people import digest_of_badge, digest_of_pin
from eol_inject.ledger.schema import (
    Found,
    assignment,
    binding,
    identifier,
    label,
    meta,
    person,
    source,
    todo,
    token,
    unit,
)
from eol_inject.ledger.told import Known, Moved, Task, Told
from eol_inject.ledger.transitions import State
from eol_inject.unit import Identifier, Secret

_AT_ONCE: Final = 5000
_NAMED: Final = 100
"""Tokens of one gap that are named one by one."""

EXEMPT: Final[Mapping[str, Mapping[str, str]]] = {
    "lease": {"*": "who works on a unit now; it is over with the cycle"},
    "station": {"*": "told as a whole, together with meta (`marks`)"},
    "transition": {"*": "compared with the program's own table"},
    "meta": {"*": "told as a whole, together with station (`marks`)"},
    "event": {"id": "order within a chain is by seq"},
    "unit": {"created_at": "the time stands in the event"},
    "source": {"id": "a number", "at": "the time stands in the event"},
    "token": {"row": "where in its source it stood, for error texts"},
    "attempt": {"n": "a number"},
    "assignment": {
        "request": "asked for again by its own cycle only",
        "opened_at": "the time stands in the event",
        "changed_at": "the time stands in the event",
    },
    "label": {
        "id": "a number",
        "lane": "whether its printer waits for it; it is over with the scan",
        "changed_at": "the time stands in the event",
    },
    "todo": {
        "opened_at": "the time stands in the event",
        "closed_at": "the time stands in the event; that it is closed is compared",
    },
    "person": {
        "failures": "wrong PINs in a row; each one is in the log",
        "since": "the time stands in the event",
        "until": "the time stands in the event; that somebody left is compared",
    },
}
"""Columns that may be changed unseen, and why that does no harm; `*` is the whole table."""


def parts(
    conn: sa.Connection, query: sa.Select[*tuple[Any, ...]]
) -> Iterable[Sequence[sa.Row[*tuple[Any, ...]]]]:
    """The rows of ``query`` in chunks, so that a large table needs no memory."""
    return conn.execute(query, execution_options={"yield_per": _AT_ONCE}).partitions()


def check(conn: sa.Connection, setup: Setup, told: Told) -> Iterator[Finding]:
    """What is changed, added or missing, table by table."""
    yield from _founded(conn, told)
    yield from _units(conn, told)
    yield from _identifiers(conn, told)
    yield from _assignments(conn, told)
    yield from _attempts(conn, told)
    yield from _labels(conn, told)
    yield from _tasks(conn, told)
    yield from _people(conn, told)
    yield from _sources(conn, told)
    yield from _Tokens(conn, setup, told).check()


def _rows(conn: sa.Connection, query: sa.Select[*tuple[Any, ...]]) -> Iterator[Found]:
    for rows in parts(conn, query):
        yield from rows


def _unknown(told: Told, where: str) -> Iterator[Finding]:
    if told.founded:
        yield Finding(where, "is there, but no event tells of it")


def _missing(where: str) -> Finding:
    return Finding(where, "is missing, though events tell of it")


def _founded(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    known = {row.key: row.value for row in conn.execute(sa.select(meta.c.key, meta.c.value))}
    there = {"ledger": known.get("ledger_id"), "kind": known.get("kind")}
    said = {name: told.founded.get(name) for name in there}
    if told.founded and said != there:
        yield Finding("meta", "is another ledger, or of another kind, than was founded")
    if told.marks and told.marks != marks.digest(conn):
        yield Finding("meta", "or station does not say what the log does: who has to speak, where")


def _units(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = set(told.units)
    for number, held, reason in _rows(conn, sa.select(unit.c.id, unit.c.hold, unit.c.hold_reason)):
        if number not in left:
            yield from _unknown(told, f"unit {number}")
        left.discard(number)
        said = told.holds.get(number, (Hold.NONE.value, ""))
        if (held, reason) != said and (told.founded or number in told.holds):
            yield Finding(f"unit {number}", f"is '{held}' ({reason}), but its events say {said}")
    for number in left:
        yield _missing(f"unit {number}")


def _identifiers(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = dict(told.identifiers)
    for row in _rows(conn, sa.select(identifier)):
        where = f"identifier {row.kind}:{row.value}"
        said = left.pop((row.kind, row.value), None)
        if said is None:
            yield from _unknown(told, where)
        elif said != (row.unit, row.is_primary):
            yield Finding(where, f"names unit {row.unit}, but its events say unit {said[0]}")
    for kind, value in left:
        yield _missing(f"identifier {kind}:{value}")


def _assignments(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = dict(told.assignments)
    for row in _rows(conn, sa.select(assignment)):
        where = f"assignment {row.id}"
        said = left.pop(row.id, None)
        if said is None:
            yield Finding(where, f"is {row.state}, but no event tells of it")
            continue
        stands = Moved(
            row.token, row.unit, row.role, row.state, row.prev_state, row.act, row.proof, row.label
        )
        for name, there, wanted in zip(_MOVED, astuple(stands), astuple(said), strict=True):
            if there != wanted:
                yield Finding(where, f"has {name} '{there}', but its events say '{wanted}'")
    for number in left:
        yield _missing(f"assignment {number}")


_MOVED: Final = ("token", "unit", "role", "state", "prev_state", "act", "proof", "label")


def _attempts(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = dict(told.attempts)
    for row in _rows(conn, sa.select(*attempts.TOLD)):
        said = left.pop(row.id, "")
        if not said:
            yield from _unknown(told, f"attempt {row.id}")
        elif digest_of_row(row._asdict()) != said:
            yield Finding(f"attempt {row.id}", "was changed")
    for name in left:
        yield _missing(f"attempt {name}")


def _labels(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = dict(told.copies)
    for row in _rows(conn, sa.select(label)):
        where = f"label {row.code}"
        said = left.pop(row.code, None)
        if said is None:
            yield Finding(where, "is there, but no event tells of it")
            continue
        if said.row and digest_of_row({name: getattr(row, name) for name in CONSTANT}) != said.row:
            yield Finding(where, "was changed")
        if row.state != said.state:
            yield Finding(where, f"is {row.state}, but its events say {said.state}")
        if (row.came_out, row.reason) != (said.came_out, said.reason):
            yield Finding(where, "does not say of its fate what its events say")
    for code in left:
        yield _missing(f"label {code}")


def _tasks(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = dict(told.tasks)
    for row in _rows(conn, sa.select(todo)):
        where = f"todo {row.id}"
        said = left.pop(row.id, None)
        stands = Task(row.token, row.act, row.why, row.opened_by, row.closed_by, row.closed_how)
        if said is None:
            yield from _unknown(told, where)
        elif said != stands or (row.closed_at is None) != (said.closed_by is None):
            yield Finding(where, "does not say what its events say")
    for number in left:
        yield _missing(f"todo {number}")


def _people(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    left = dict(told.people)
    for row in _rows(conn, sa.select(person)):
        where = f"person {row.name}"
        said = left.pop(row.name, None)
        stands = Known(
            row.role, digest_of_pin(row.pin), digest_of_badge(row.badge), row.until is not None
        )
        if said is None:
            yield from _unknown(told, where)
        elif said != stands:
            yield Finding(where, "is not as it was named: role, PIN, badge, or let in again")
    for name in left:
        yield _missing(f"person {name}")


def _sources(conn: sa.Connection, told: Told) -> Iterator[Finding]:
    """Each row has its import event, and the tokens that this event counted."""
    said: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for one in told.sources:
        said[tuple(one[name] for name in _IMPORTED)].append(one)
    per_source = sa.select(token.c.source, sa.func.count()).group_by(token.c.source)
    counted = {int(row[0]): int(row[1]) for row in conn.execute(per_source)}
    for row in conn.execute(sa.select(source).order_by(source.c.id)):
        key = (
            row.product, row.lot, row.organization, row.sha256, row.new, row.known, row.operator
        )  # fmt: skip
        event = said[key].pop(0) if said[key] else None
        if event is None:
            yield Finding(f"source {row.id}", "is not what its event says")
        there = counted.pop(row.id, 0)
        if there != row.new:
            yield Finding(f"source {row.id}", f"brought {row.new} tokens, and {there} are there")
        if event is not None and "first" in event:
            yield from _missing_tokens(conn, row.id, event["first"], event["last"])
    for number in counted:
        yield Finding(f"source {number}", "is missing, though tokens came from it")
    for key, left in said.items():
        if left:
            yield Finding("source", f"of product {key[0]}, lot {key[1]} is missing")


_IMPORTED: Final = ("product", "lot", "organization", "source_sha256", "new", "known", "operator")


def _missing_tokens(conn: sa.Connection, number: int, first: int, last: int) -> Iterator[Finding]:
    """A source brings its tokens under numbers in a row: what is not there is named."""
    between = sa.and_(token.c.id >= first, token.c.id <= last)
    there = conn.execute(sa.select(sa.func.count()).where(between)).scalar_one()
    if there == last - first + 1:
        return
    expected = first
    for (this,) in _rows(conn, sa.select(token.c.id).where(between).order_by(token.c.id)):
        for gone in range(expected, min(this, expected + _NAMED)):
            yield Finding(f"token {gone}", f"of source {number} is missing")
        expected = this + 1
    for gone in range(expected, min(last + 1, expected + _NAMED)):
        yield Finding(f"token {gone}", f"of source {number} is missing")


class _Tokens:
    """What a token is, where it is, and to whom it is bound."""

    def __init__(self, conn: sa.Connection, setup: Setup, told: Told) -> None:
        self._conn = conn
        self._vault = setup.vault
        self._told = told
        self._origin = {row.id: (row.product, row.lot) for row in conn.execute(sa.select(source))}
        self._bound: dict[int, list[Found]] = defaultdict(list)
        for row in _rows(conn, sa.select(binding)):
            self._bound[row.token].append(row)
        self._taken = Counter(
            one.token for one in told.assignments.values() if one.state != State.AVAILABLE
        )
        self._given_up = {
            one.token
            for one in told.assignments.values()
            if one.state in {State.REPLACED, State.SCRAPPED}
        } | told.revoked
        self._was = {now: was for was, now in told.rebound}

    def check(self) -> Iterator[Finding]:
        """Each token, then what is bound to none."""
        before: dict[int, int] = {}
        for row in _rows(self._conn, sa.select(token).order_by(token.c.id)):
            where = f"token {row.id}"
            if row.row <= before.get(row.source, -1):
                yield Finding(where, "is not in the order of its source")
            before[row.source] = row.row
            bound = self._bound.pop(row.id, [])
            if not self._fits(row, bound):
                yield Finding(where, "was changed: its values do not fit together")
            elif (row.product, row.lot) != self._origin.get(row.source):
                yield Finding(where, "is of another product or lot than its source")
            yield from self._state(row, where)
            for one in bound:
                yield from self._binding(one, row)
        for number in self._bound:
            yield Finding(f"token {number}", "is missing, though units are bound to it")

    def _fits(self, row: Found, bound: Sequence[Found]) -> bool:
        """Every ciphertext opens in its place and gives the fingerprints that stand beside it."""
        vault = self._vault
        secrets: dict[str, Secret] = {}
        try:
            if vault.print_of_auth(vault.open_auth(row.uid, row.auth)) != row.auth_print:
                return False
            if row.claim is not None:
                code = vault.open_claim(row.uid, row.claim)
                prints = (vault.print_of_claim(code), code.tail)
                if prints != (row.claim_print, row.claim_tail):
                    return False
            elif row.claim_print is not None or row.claim_tail:
                return False
            if row.secrets is not None:
                secrets = vault.open_secrets(row.uid, row.secrets)
            now = [Identifier(one.kind, one.value) for one in bound]
            were = [self._first(one) for one in now]
        except (EolError, ValueError):
            return False
        contents = (
            vault.print_of_content(row.claim_print, row.organization, row.public, secrets, each)
            for each in ((now,) if were == now else (now, were))
        )
        return row.content in contents and row.bound == int(bool(bound))

    def _first(self, one: Identifier) -> Identifier:
        """What a binding said when its token came, before leads rebound it."""
        text = str(one)
        seen: set[str] = set()
        while text in self._was and text not in seen:
            seen.add(text)
            text = self._was[text]
        kind, _, value = text.partition(":")
        return Identifier(kind, value)

    def _state(self, row: Found, where: str) -> Iterator[Finding]:
        taken = self._taken[row.id]
        if taken > 1:
            yield Finding(where, f"is in {taken} units")
        wrong = (row.state == "available" and taken) or (row.state == "taken" and not taken)
        if wrong:
            yield Finding(where, f"is marked {row.state}, its assignments disagree")
        if (row.state == "revoked") != (row.id in self._told.revoked):
            yield Finding(where, f"is marked {row.state}, its events disagree")

    def _binding(self, one: Found, of: Found) -> Iterator[Finding]:
        where = f"binding {one.kind}:{one.value} of token {of.id}"
        if one.product != of.product:
            yield Finding(where, "is of another product than its token")
        given_up = of.id in self._given_up
        if bool(one.live) == given_up and (of.state == "revoked" or not given_up):
            yield Finding(where, "does not say of its token what its events say")
