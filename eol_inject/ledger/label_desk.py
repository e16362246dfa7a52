"""What people do about labels outside a cycle: other copies, void ones, sheets, late scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import RecordError, UnitError
from eol_inject.ledger import identity, labels, people, proving
from eol_inject.ledger.chain import Entry
from eol_inject.ledger.desk import Desk, Which
from eol_inject.ledger.label_states import UNIT, CopyRecord, CopyState
from eol_inject.ledger.labels import Labels, Made
from eol_inject.ledger.model import Hold, LabelState
from eol_inject.ledger.moves import Place
from eol_inject.ledger.schema import assignment, identifier, label, token, unit
from eol_inject.ledger.transitions import Act, State, Who
from eol_inject.unit import SELF_ROLE, Identifier, Proven

_LIVE: Final = (
    sa.select(label.c.id)
    .where(
        label.c.assignment == assignment.c.id,
        label.c.kind == sa.bindparam("k"),
        label.c.state != CopyState.VOID.value,
    )
    .exists()
)
_VERIFIED: Final = (
    sa.select(identifier.c.kind, identifier.c.value)
    .select_from(
        assignment.join(token, token.c.id == assignment.c.token)
        .join(unit, unit.c.id == assignment.c.unit)
        .join(identifier, sa.and_(identifier.c.unit == unit.c.id, identifier.c.is_primary == 1))
    )
    .where(
        assignment.c.state == State.VERIFIED.value,
        assignment.c.role == sa.bindparam("r"),
        unit.c.hold == Hold.NONE.value,
        token.c.lot == sa.bindparam("l"),
        token.c.product == sa.bindparam("p"),
        token.c.claim.is_not(None),
        ~_LIVE,
    )
    .order_by(assignment.c.id)
)


_OUT: Final = {CopyState.CONFIRMED, CopyState.APPLIED}


@dataclass(frozen=True, slots=True)
class Sheeted:
    """One label of a sheet: whose it is, and what is committed about it."""

    unit: Identifier
    made: Made


class LabelDesk(Desk):
    """One person's acts about labels; raises what ``Desk`` raises."""

    def proven(self, which: Which, *, role: str = SELF_ROLE) -> Proven:
        """What a label of this unit is made from: its token was read back, and stands unchanged.

        Raises ``UnitError``: ``ledger.not_proven``, ``unit_blocked``, ``unit_recall``,
        ``unit_scrapped``; ``RecordError("ledger.no_claim_code")``.
        """

        def work(conn: sa.Connection) -> Proven:
            people.require(conn, self._setup, self._by, Who.OPERATOR, "label")
            unit_id = self._unit(conn, which)
            _refuse_held(conn, unit_id)
            place = self._live(conn, unit_id, role)
            who = identity.load(conn, unit_id)
            found = proving.stored(conn, self._setup, place, who)
            if found is None:
                raise RecordError("ledger.no_claim_code", unit=str(who))
            return found

        return self._setup.db.write(work)

    def labels(
        self, which: Which, *, who: Who = Who.OPERATOR, act: str = "label", role: str = SELF_ROLE
    ) -> Labels:
        """The unit's labels, for somebody who may do what needs ``who``."""

        def place(conn: sa.Connection) -> Place:
            people.require(conn, self._setup, self._by, who, act)
            return self._live(conn, self._unit(conn, which), role)

        return Labels(self._setup, place, Entry("label", operator=self._by.name))

    def sheet_units(
        self, *, product: str, lot: str, kind: str = UNIT, role: str = SELF_ROLE
    ) -> tuple[Identifier, ...]:
        """Verified units without a label of this kind, in the order they got their tokens."""
        values = {"p": product, "l": lot, "k": kind, "r": role}
        rows = self._setup.db.read(lambda conn: conn.execute(_VERIFIED, values).all())
        return tuple(Identifier(row.kind, row.value) for row in rows)

    def begin_sheet(self, labelled: Sequence[Sheeted], *, role: str = SELF_ROLE) -> None:
        """Put all labels of a sheet on record as intents, or none of them."""

        def work(conn: sa.Connection) -> None:
            people.require(conn, self._setup, self._by, Who.OPERATOR, "label sheet")
            entry = Entry("label", operator=self._by.name)
            for one in labelled:
                unit_id = self._unit(conn, one.unit)
                _refuse_held(conn, unit_id)
                place = self._live(conn, unit_id, role)
                if place.state is not State.VERIFIED:
                    raise UnitError("ledger.not_proven", why=f"its token is {place.state}")
                labels.begin(conn, self._setup, place, one.made, entry)

        self._setup.db.write(work)

    def finish_sheet(
        self, batch: str, *, closing: bool, kinds: Sequence[str] = (UNIT,)
    ) -> tuple[CopyRecord, ...]:
        """The sheet's file is there; ``closing``: that is all the proof this product asks for."""

        def work(conn: sa.Connection) -> tuple[CopyRecord, ...]:
            people.require(conn, self._setup, self._by, Who.OPERATOR, "label sheet")
            entry = Entry("label", operator=self._by.name)
            target = CopyState.CONFIRMED if closing else CopyState.SENT
            for one in labels.of_batch(conn, batch):
                if one.state is CopyState.INTENT:
                    labels.change(conn, self._setup, one, target, entry)
                    if closing:
                        self._close(conn, one, kinds, enough=_OUT)
            return labels.of_batch(conn, batch)

        return self._setup.db.write(work)

    def close_printed(self, code: str, kinds: Sequence[str] = (UNIT,)) -> None:
        """The label ``code`` came out, which is all the proof this product asks for."""

        def work(conn: sa.Connection) -> None:
            people.require(conn, self._setup, self._by, Who.OPERATOR, "label print")
            self._close(conn, labels.one_by_code(conn, code), kinds, enough=_OUT)

        self._setup.db.write(work)

    def close_by_scan(self, code: str, kinds: Sequence[str] = (UNIT,)) -> CopyRecord:
        """The label ``code`` was seen on its unit: that closes it, once every kind was.

        Raises ``UnitError``: ``ledger.unknown_label``, ``label_moves`` for a void copy.
        """

        def work(conn: sa.Connection) -> CopyRecord:
            people.require(conn, self._setup, self._by, Who.OPERATOR, "label scan")
            one = labels.one_by_code(conn, code)
            if one.state is not CopyState.APPLIED:
                entry = Entry("label", operator=self._by.name)
                labels.change(conn, self._setup, one, CopyState.APPLIED, entry)
            self._close(conn, one, kinds, enough={CopyState.APPLIED})
            return labels.one_by_code(conn, code)

        return self._setup.db.write(work)

    def _close(
        self, conn: sa.Connection, one: CopyRecord, kinds: Sequence[str], *, enough: set[CopyState]
    ) -> None:
        """Label and close, once every kind that the product requires got far enough."""
        copies = labels.of_assignment(conn, one.assignment)
        if not {each.kind for each in copies if each.state in enough} >= set(kinds):
            return
        row = conn.execute(sa.select(assignment).where(assignment.c.id == one.assignment)).one()
        place = Place(row.id, row.token, row.unit, State(row.state))
        _refuse_held(conn, row.unit)
        if place.state is State.VERIFIED:
            place = self._move(conn, place, Act.LABEL, "")
            conn.execute(
                sa.update(assignment)
                .where(assignment.c.id == one.assignment)
                .values(label=LabelState.PRINTED)
            )
        if place.state is State.LABELLED:
            self._move(conn, place, Act.CLOSE, "")


def _refuse_held(conn: sa.Connection, unit_id: int) -> None:
    row = conn.execute(sa.select(unit.c.hold, unit.c.hold_reason).where(unit.c.id == unit_id)).one()
    match Hold(row.hold):
        case Hold.NONE:
            return
        case Hold.BLOCKED:
            raise UnitError("ledger.unit_blocked", why=row.hold_reason, tail="none")
        case Hold.RECALL:
            raise UnitError("ledger.unit_recall", why=row.hold_reason, tail="none")
        case Hold.SCRAPPED:
            raise UnitError("ledger.unit_scrapped", why=row.hold_reason, tail="none")
