"""Physical labels of a unit: each on record before its first byte goes to a printer.

``assignment.label`` says in one word how the unit's label stands; here is every copy of it. Only
the live copy of a kind, the one that is not void, can close a unit.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from eol_inject.errors import Param, StationError, UnitError
from eol_inject.ledger.chain import Entry, Setup, append, digest_of_row
from eol_inject.ledger.label_states import MOVES, UNIT, CopyRecord, CopyState, Draft
from eol_inject.ledger.model import LabelState
from eol_inject.ledger.moves import Place
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.schema import Found, assignment, identifier, label

ALPHABET: Final = "ABCDEFGHJKNPQRSTUVXYZ23456789"
"""Of label ids: nothing that looks like something else in small type, and no wide letters."""
LENGTH: Final = 6

_ROWS: Final = (
    sa.select(label, identifier.c.value.label("name"))
    .select_from(
        label.join(
            identifier, sa.and_(identifier.c.unit == label.c.unit, identifier.c.is_primary == 1)
        )
    )
    .order_by(label.c.id)
)


def _where(column: sa.Column[Any]) -> Prepared:
    return Prepared(_ROWS.where(column == sa.bindparam("which", type_=column.type)))


_OF_ASSIGNMENT: Final = _where(label.c.assignment)
_OF_UNIT: Final = _where(label.c.unit)
_OF_BATCH: Final = _where(label.c.batch)
_BY_CODE: Final = _where(label.c.code)
_BY_LANE: Final = _where(label.c.lane)
_TAKEN: Final = Prepared(sa.select(label.c.id).where(label.c.code == sa.bindparam("c")))
_ROLE: Final = Prepared(sa.select(assignment.c.role).where(assignment.c.id == sa.bindparam("a")))
_ADD: Final = Prepared(
    sa.insert(label), columns=[column.name for column in label.c if column.name != "id"]
)
_CHANGE: Final = Prepared(
    sa.update(label)
    .where(label.c.code == sa.bindparam("c"), label.c.state == sa.bindparam("was"))
    .values(
        state=sa.bindparam("target"),
        changed_at=sa.bindparam("at"),
        came_out=sa.bindparam("out"),
        reason=sa.bindparam("why"),
        lane=sa.case(
            (sa.bindparam("frees", type_=sa.BigInteger()) == 1, sa.null()), else_=label.c.lane
        ),
    )
    .returning(label.c.unit)
)
_FREE: Final = Prepared(
    sa.update(label).where(label.c.code == sa.bindparam("c")).values(lane=sa.null())
)

_COPIES: Final = (
    sa.select(label.c.id)
    .where(label.c.assignment == assignment.c.id, label.c.kind == UNIT)
    .correlate(assignment)
)
STANDS: Final = sa.case(
    (
        sa.and_(
            assignment.c.label == LabelState.PRINTED,
            _COPIES.exists(),
            ~_COPIES.where(label.c.state != CopyState.VOID).exists(),
        ),
        sa.literal(LabelState.VOID.value),
    ),
    else_=assignment.c.label,
).label("label")
"""How the unit's label stands now: a printed one whose every copy was voided is void."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is committed about a label that was drawn and is to be printed."""

    draft: Draft
    printer: str
    template: str
    template_digest: str
    bitmap_digest: str
    facts: str = "{}"
    exclusive: bool = False
    """The printer takes no other label before this one's whereabouts are known."""
    batch: str = ""
    reason: str = ""


class Labels:
    """The labels of one unit's live token. Every verb is one durable transaction.

    ``place`` finds the assignment inside the transaction and refuses whoever may not touch it;
    ``entry`` says who acts. A verb that finds its work done already does nothing.
    """

    def __init__(self, setup: Setup, place: Callable[[sa.Connection], Place], entry: Entry) -> None:
        self._setup = setup
        self._place = place
        self._entry = entry

    def all(self) -> tuple[CopyRecord, ...]:
        """Every copy, void ones too, oldest first."""
        return self._setup.db.write(lambda conn: of_assignment(conn, self._place(conn).assignment))

    def live(self, kind: str) -> CopyRecord | None:
        """The copy that counts, or None where there is none."""
        return next((one for one in self.all() if _counts(one, kind)), None)

    def draft(self, kind: str) -> Draft:
        """A fresh id, and the number that the next copy has; nothing is on record yet."""

        def work(conn: sa.Connection) -> Draft:
            found = of_assignment(conn, self._place(conn).assignment)
            return Draft(fresh_code(conn), 1 + sum(one.kind == kind for one in found), kind)

        return self._setup.db.write(work)

    def begin(self, made: Made, *, instead: bool = False) -> CopyRecord:
        """Put the label on record as an intent: from here on it may exist.

        ``instead``: the live copy does not count any more. Raises
        ``UnitError("ledger.label_live")`` where there is one, and
        ``StationError("ledger.label_waits")`` while another label of the printer is on its way.
        """

        def work(conn: sa.Connection) -> CopyRecord:
            place = self._place(conn)
            for one in of_assignment(conn, place.assignment):
                if one.code == made.draft.code:
                    return one
                if _counts(one, made.draft.kind):
                    if not instead:
                        raise UnitError("ledger.label_live", label=one.name, state=one.state.value)
                    self._change(conn, one, CopyState.VOID, made.reason)
            if made.exclusive:
                refuse_waiting(conn, made.printer)
            begin(conn, self._setup, place, made, self._entry)
            return one_by_code(conn, made.draft.code)

        return self._setup.db.write(work)

    def move(
        self,
        code: str,
        target: CopyState,
        *,
        why: str = "",
        settled: bool = False,
        nowhere: bool = False,
    ) -> CopyRecord:
        """The label ``code`` is ``target`` now; ``settled`` frees its printer for the next one.

        ``nowhere``: a person looked, and it did not come out.

        Raises ``UnitError("ledger.label_moves")`` where the table has no such row, or where the
        label is not of this unit.
        """

        def work(conn: sa.Connection) -> CopyRecord:
            place = self._place(conn)
            one = one_by_code(conn, code)
            if one.assignment != place.assignment:
                raise UnitError("ledger.label_moves", label=one.name, state="another unit's")
            if one.state is not target:
                self._change(conn, one, target, why, nowhere=nowhere)
            if settled:
                free(conn, code)
            return one_by_code(conn, code)

        return self._setup.db.write(work)

    def _change(
        self,
        conn: sa.Connection,
        one: CopyRecord,
        target: CopyState,
        why: str,
        *,
        nowhere: bool = False,
    ) -> None:
        entry = replace(self._entry, reason=why)
        change(conn, self._setup, one, target, entry, nowhere=nowhere)


def begin(conn: sa.Connection, setup: Setup, place: Place, made: Made, entry: Entry) -> None:
    """Insert the row and tell the log."""
    at, draft = setup.now(), made.draft
    (role,) = _ROLE.first(conn, {"a": place.assignment})
    constant = {
        "code": draft.code, "copy": draft.copy, "kind": draft.kind,
        "assignment": place.assignment, "unit": place.unit, "role": role,
        "printer": made.printer, "template": made.template,
        "template_digest": made.template_digest, "bitmap_digest": made.bitmap_digest,
        "facts": made.facts, "batch": made.batch, "operator": entry.operator,
        "station": setup.info.station, "attempt": entry.attempt or "", "made_at": at,
    }  # fmt: skip
    changing = {
        "state": CopyState.INTENT, "came_out": 0, "reason": made.reason, "changed_at": at,
        "lane": made.printer if made.exclusive else None,
    }  # fmt: skip
    _ADD.run(conn, constant | changing)
    facts: dict[str, Param] = {
        "label": draft.code, "copy": draft.copy, "kind": draft.kind, "state": CopyState.INTENT,
        "printer": made.printer, "bitmap": made.bitmap_digest, "row": digest_of_row(constant),
    }  # fmt: skip
    told = replace(
        entry, act="label_intent", unit=place.unit, token=place.token,
        assignment=place.assignment, reason=made.reason, facts=facts,
    )  # fmt: skip
    append(conn, setup, told)


def change(
    conn: sa.Connection,
    setup: Setup,
    one: CopyRecord,
    target: CopyState,
    entry: Entry,
    *,
    nowhere: bool = False,
) -> None:
    """Move one label and tell the log; ``nowhere``: it never came out.

    Raises ``UnitError("ledger.label_moves")``.
    """
    if (one.state, target) not in MOVES:
        raise UnitError("ledger.label_moves", label=one.name, state=one.state.value)
    out = not nowhere and (one.came_out or target in _OUT)
    moved = _CHANGE.first(
        conn,
        {
            "c": one.code, "was": one.state, "target": target, "at": setup.now(), "out": int(out),
            "why": entry.reason or one.reason, "frees": int(target in _SETTLED),
        },
    )  # fmt: skip
    if moved is None:
        raise StationError("ledger.changed_meanwhile")
    facts: dict[str, Param] = {"label": one.code, "copy": one.copy, "was": one.state, "is": target}
    if nowhere:
        facts["nowhere"] = 1
    told = replace(
        entry, act=f"label_{target}", unit=moved.unit, assignment=one.assignment, facts=facts
    )
    append(conn, setup, told)


_OUT: Final = {CopyState.SENT, CopyState.CONFIRMED, CopyState.UNKNOWN, CopyState.APPLIED}
"""The label is, or may be, in the world."""

_SETTLED: Final = {CopyState.APPLIED, CopyState.VOID}
"""Nobody waits for the label any more."""

CONSTANT: Final = (
    "code", "copy", "kind", "assignment", "unit", "role", "printer", "template",
    "template_digest", "bitmap_digest", "facts", "batch", "operator", "station", "attempt",
    "made_at",
)  # fmt: skip
"""Columns of a label that never change: the event of its intent vouches for them."""


def free(conn: sa.Connection, code: str) -> None:
    """The printer may take the next label: nobody waits for this one any more."""
    _FREE.run(conn, {"c": code})


def void_all(conn: sa.Connection, assignment_id: int) -> None:
    """No copy counts any more; the act that says so is in the log already."""
    at = sa.select(assignment.c.changed_at).where(assignment.c.id == assignment_id)
    conn.execute(
        sa.update(label)
        .where(label.c.assignment == assignment_id, label.c.state != CopyState.VOID)
        .values(state=CopyState.VOID, lane=None, changed_at=at.scalar_subquery())
    )


def of_assignment(conn: sa.Connection, assignment_id: int) -> tuple[CopyRecord, ...]:
    """Every copy of one token's labels, oldest first."""
    return _records(conn, _OF_ASSIGNMENT, assignment_id)


def of_unit(conn: sa.Connection, unit_id: int) -> tuple[CopyRecord, ...]:
    """Every label the unit ever had, oldest first."""
    return _records(conn, _OF_UNIT, unit_id)


def of_batch(conn: sa.Connection, batch: str) -> tuple[CopyRecord, ...]:
    """The labels of one sheet job, in their order."""
    return _records(conn, _OF_BATCH, batch)


def find(conn: sa.Connection, code: str) -> CopyRecord | None:
    """The label with this id; None for one the ledger never made."""
    found = _records(conn, _BY_CODE, code.upper())
    return found[0] if found else None


def one_by_code(conn: sa.Connection, code: str) -> CopyRecord:
    """The label with this id. Raises ``UnitError("ledger.unknown_label")``."""
    found = find(conn, code)
    if found is None:
        raise UnitError("ledger.unknown_label", label=code[:LENGTH])
    return found


def waiting(conn: sa.Connection, printer: str) -> CopyRecord | None:
    """The label that this printer may still bring out, or that nobody has scanned yet."""
    found = _records(conn, _BY_LANE, printer)
    return found[0] if found else None


def refuse_waiting(conn: sa.Connection, printer: str) -> None:
    """Raise ``StationError("ledger.label_waits")`` while the printer has a label on its way."""
    found = waiting(conn, printer)
    if found is not None:
        raise StationError("ledger.label_waits", label=found.name, unit=found.unit)


def fresh_code(conn: sa.Connection) -> str:
    """An id that no label has. Not a secret: it only has to be new."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        if _TAKEN.first(conn, {"c": code}) is None:
            return code


def others_out(copies: Iterable[CopyRecord], one: CopyRecord) -> bool:
    """Whether another label with the same claim code is, or may be, in the world."""
    return any(each.came_out and each.code != one.code for each in copies)


def _counts(one: CopyRecord, kind: str) -> bool:
    return one.kind == kind and one.state is not CopyState.VOID


def _records(conn: sa.Connection, rows: Prepared, which: str | int) -> tuple[CopyRecord, ...]:
    found: Sequence[Found] = rows.all(conn, {"which": which})
    return tuple(
        CopyRecord(
            code=row.code,
            copy=row.copy,
            kind=row.kind,
            state=CopyState(row.state),
            came_out=bool(row.came_out),
            unit=row.name,
            role=row.role,
            assignment=row.assignment,
            printer=row.printer,
            template=row.template,
            template_digest=row.template_digest,
            bitmap_digest=row.bitmap_digest,
            facts=row.facts,
            batch=row.batch,
            reason=row.reason,
            operator=row.operator,
            station=row.station,
            attempt=row.attempt,
            made_at=row.made_at,
            changed_at=row.changed_at,
        )
        for row in found
    )
