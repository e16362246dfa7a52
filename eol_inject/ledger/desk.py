"""What people do about a unit outside a cycle: rework, with a name, a role and a reason."""

from collections.abc import Iterable, Mapping
from typing import Final

import sqlalchemy as sa

from eol_inject.errors import Param, StationError, UnitError, UsageError
from eol_inject.ledger import cloud, people, rebinding
from eol_inject.ledger.chain import Entry, Setup, append
from eol_inject.ledger.model import Hold, LabelState
from eol_inject.ledger.moves import Place, move
from eol_inject.ledger.people import Person
from eol_inject.ledger.records import find_unit
from eol_inject.ledger.schema import (
    Found,
    assignment,
    lease,
    now,
    todo,
    token,
    unit,
)
from eol_inject.ledger.standing import void_label
from eol_inject.ledger.transitions import LIVE, Act, State, Who, transition
from eol_inject.ledger.witness import Handed, gave_up, remember
from eol_inject.unit import SELF_ROLE, ClaimCode, Identifier, StaticToken

Which = Identifier | ClaimCode
"""How people name a unit: any of its identifiers, or the code on its label."""

_PLACE: Final = sa.select(
    assignment.c.id, assignment.c.token, assignment.c.state, assignment.c.label
).where(assignment.c.unit == sa.bindparam("u"), assignment.c.role == sa.bindparam("r"))


class Desk:
    """One person's acts. Each is one transaction, checked against the person's role, and logged.

    Every verb may raise ``UsageError``: ``ledger.unknown_unit``, ``not_allowed``, ``no_people``;
    ``UnitError``: ``ledger.illegal_act``, ``reason_missing``; and ``StationError("unit_busy")``
    while a cycle works on the unit.
    """

    def __init__(self, setup: Setup, by: Person) -> None:
        self._setup = setup
        self._by = by

    def release(self, which: Which, *, reason: str = "", role: str = SELF_ROLE) -> None:
        """``reserved`` → the pool; refused once the token ever was ``writing``."""

        def work(conn: sa.Connection) -> Handed | None:
            place = self._live(conn, self._unit(conn, which), role)
            self._move(conn, place, Act.RELEASE, reason)
            _back_to_pool(conn, place.token)
            return gave_up(conn, self._setup, place, Act.RELEASE)

        remember(self._setup, self._setup.db.write(work))

    def quarantine(self, which: Which, *, reason: str, role: str = SELF_ROLE) -> None:
        """Stop the unit: its label no longer counts, nobody gets its token.

        A unit that holds nothing is blocked. Allowed at any time, also during a cycle.
        """

        def work(conn: sa.Connection) -> None:
            unit_id = self._unit(conn, which, busy=True)
            place = _place(conn, unit_id, role)
            if place is None or place.state is State.RESERVED:
                self._hold(conn, unit_id, Hold.BLOCKED, reason, Act.QUARANTINE)
                return
            self._move(conn, place, Act.QUARANTINE, reason)
            void_label(conn, place)

        self._setup.db.write(work)

    def clear(self, which: Which, *, reason: str, role: str = SELF_ROLE) -> None:
        """``quarantined`` → ``writing``: the unit may go on with its own token; unblocks it."""

        def work(conn: sa.Connection) -> None:
            unit_id = self._unit(conn, which)
            place = _place(conn, unit_id, role)
            blocked = _hold_of(conn, unit_id) is Hold.BLOCKED
            if blocked:
                self._hold(conn, unit_id, Hold.NONE, reason, Act.CLEAR)
            if not blocked or (place and place.state is State.QUARANTINED):
                self._move(conn, _there(place), Act.CLEAR, reason)

        self._setup.db.write(work)

    def reinject(self, which: Which, *, reason: str, role: str = SELF_ROLE) -> None:
        """``written`` … ``closed`` → ``writing``: the same token goes into the unit once more.

        For a unit that was erased, or that failed after it was done; its label no longer counts.
        """

        def work(conn: sa.Connection) -> None:
            place = self._live(conn, self._unit(conn, which), role)
            self._move(conn, place, Act.REINJECT, reason)
            void_label(conn, place)

        self._setup.db.write(work)

    def replace(self, which: Which, *, reason: str, role: str = SELF_ROLE) -> None:
        """``verified`` … ``closed`` → ``replaced``: the unit's next cycle gets a new token.

        The old one is never used again, and is to be deleted in the cloud. Ends a recall.
        """

        def work(conn: sa.Connection) -> Handed | None:
            unit_id = self._unit(conn, which)
            place = self._live(conn, unit_id, role)
            self._move(conn, place, Act.REPLACE, reason)
            self._give_up(conn, place, f"replaced: {reason}")
            if _hold_of(conn, unit_id) is Hold.RECALL:
                self._hold(conn, unit_id, Hold.NONE, reason, Act.REPLACE)
            return gave_up(conn, self._setup, place, Act.REPLACE)

        remember(self._setup, self._setup.db.write(work))

    def scrap(self, which: Which, *, reason: str) -> None:
        """The unit is thrown away; what it holds is never used again."""

        def work(conn: sa.Connection) -> list[Handed | None]:
            unit_id = self._unit(conn, which)
            told: list[Handed | None] = []
            rows = conn.execute(
                sa.select(assignment.c.id, assignment.c.token, assignment.c.state).where(
                    assignment.c.unit == unit_id, assignment.c.state.in_(LIVE)
                )
            ).all()
            for row in rows:
                place = Place(row.id, row.token, unit_id, State(row.state))
                self._move(conn, place, Act.SCRAP, reason)
                self._give_up(conn, place, f"scrapped: {reason}")
                told.append(gave_up(conn, self._setup, place, Act.SCRAP))
            self._hold(conn, unit_id, Hold.SCRAPPED, reason, Act.SCRAP)
            return told

        remember(self._setup, *self._setup.db.write(work))

    def rebind(self, which: Identifier, to: Identifier, *, reason: str) -> None:
        """What ``which`` stood for is ``to`` from now on.

        Of one kind (``mac:A`` to ``mac:B``): pool tokens made for A belong to B. Of two kinds
        (``serial:S`` to ``mac:B``): S names the unit B, not the one it named before, and what was
        made for S is B's. Raises
        ``UnitError``: ``ledger.bound_taken``, ``nothing_bound``, ``bound_twice``.
        """

        def work(conn: sa.Connection) -> None:
            self._allow(conn, Who.LEAD, "rebind", reason)
            if which.kind == to.kind:
                rebinding.move_binding(conn, which, to)
                unit_id = None
            else:
                unit_id = rebinding.move_identifier(conn, self._setup, which, to, by=self._by.name)
            facts = {"was": str(which), "is": str(to)}
            self._tell(conn, "rebind", reason, unit=unit_id, facts=facts)

        self._setup.db.write(work)

    def revoke(self, which: Which, *, reason: str, role: str = SELF_ROLE) -> None:
        """The token is dead in the cloud, or must be: nobody gets it, its unit is recalled."""

        def work(conn: sa.Connection) -> Handed | None:
            self._allow(conn, Who.LEAD, Act.REVOKE, reason)
            token_id = self._token(conn, which, role)
            held = conn.execute(
                sa.select(assignment).where(
                    assignment.c.token == token_id, assignment.c.state.in_(LIVE)
                )
            ).first()
            place = None
            if held is not None:
                place = Place(held.id, token_id, held.unit, State(held.state))
            unit_id = None if place is None else place.unit
            if place is not None and place.state is State.RESERVED:
                self._move(conn, place, Act.RELEASE, reason)
            elif unit_id is not None:
                self._hold(conn, unit_id, Hold.RECALL, reason, Act.REVOKE)
            conn.execute(
                sa.update(token)
                .where(token.c.id == token_id, token.c.state != "revoked")
                .values(state="revoked")
            )
            rebinding.unbind(conn, token_id)
            self._open_todo(conn, token_id, "delete", f"revoked: {reason}")
            self._tell(conn, Act.REVOKE, reason, unit=unit_id, token=token_id)
            return None if place is None else gave_up(conn, self._setup, place, Act.REVOKE)

        remember(self._setup, self._setup.db.write(work))

    def done(self, number: int, *, how: str) -> None:
        """What the cloud had to be told was told. Raises ``UsageError("ledger.no_todo")``."""

        def work(conn: sa.Connection) -> None:
            self._allow(conn, Who.OPERATOR, "todo", how)
            which = todo.c.id == number
            if not cloud.settle(conn, self._setup, which, by=self._by.name, how=how):
                raise UsageError("ledger.no_todo", number=number)

        self._setup.db.write(work)

    def settle_by_export(
        self, tokens: Iterable[StaticToken], *, product: str, source_sha256: str
    ) -> int:
        """Close the ``delete`` to-dos of tokens that a later export of ``product`` lacks.

        Only lots of which the export still has a token count: it may cover a part of the product.
        Returns how many were closed.
        """
        present = cloud.prints(self._setup, tokens)
        how = f"absent from export {source_sha256[:12]}"

        def work(conn: sa.Connection) -> int:
            self._allow(conn, Who.OPERATOR, "todo", how)
            gone = cloud.deleted(conn, product, present)
            if gone:
                cloud.settle(conn, self._setup, todo.c.id.in_(gone), by=self._by.name, how=how)
            return len(gone)

        return self._setup.db.write(work)

    def _allow(self, conn: sa.Connection, who: Who, act: str, reason: str) -> None:
        people.require(conn, self._setup, self._by, who, act)
        if not reason.strip():
            raise UnitError("ledger.reason_missing", act=act)

    def _unit(self, conn: sa.Connection, which: Which, *, busy: bool = False) -> int:
        """The unit's id; its lease row is locked, so that no cycle moves it meanwhile."""
        unit_id = find_unit(conn, self._setup.vault, which)
        row = conn.execute(
            sa.select(lease, now().label("now")).where(lease.c.unit == unit_id).with_for_update()
        ).first()
        if row is not None and not busy and row.attempt and row.taken <= row.now < row.expires:
            raise StationError(
                "ledger.unit_busy",
                station=row.station,
                slot=row.slot,
                seconds=int(row.expires - row.now) + 1,
            )
        return unit_id

    def _live(self, conn: sa.Connection, unit_id: int, role: str) -> Place:
        return _there(_place(conn, unit_id, role))

    def _move(self, conn: sa.Connection, place: Place, act: Act, reason: str) -> Place:
        step = transition(place.state, act)
        who = Who.OPERATOR if step is None or step.who is Who.STATION else step.who
        people.require(conn, self._setup, self._by, who, act)
        entry = Entry(act, operator=self._by.name, reason=reason)
        return move(conn, self._setup, place, act, entry)

    def _hold(self, conn: sa.Connection, unit_id: int, hold: Hold, reason: str, act: Act) -> None:
        who = Who.OPERATOR if act is Act.QUARANTINE else Who.LEAD
        self._allow(conn, who, act, reason)
        if _hold_of(conn, unit_id) is Hold.SCRAPPED and hold is not Hold.SCRAPPED:
            raise UnitError("ledger.unit_scrapped", why=reason, tail="none")
        conn.execute(
            sa.update(unit)
            .where(unit.c.id == unit_id)
            .values(hold=hold, hold_reason=reason if hold else "")
        )
        self._tell(conn, act, reason, unit=unit_id, facts={"hold": hold.value})

    def _give_up(self, conn: sa.Connection, place: Place, why: str) -> None:
        printed = conn.execute(
            sa.select(assignment.c.label).where(assignment.c.id == place.assignment)
        ).scalar_one()
        void_label(conn, place)
        rebinding.unbind(conn, place.token)
        self._open_todo(conn, place.token, "delete", why)
        if printed != LabelState.NONE:
            # Somebody may have scanned it already.
            self._open_todo(conn, place.token, "unclaim", why)

    def _open_todo(self, conn: sa.Connection, token_id: int, act: str, why: str) -> None:
        cloud.ask(conn, self._setup, token_id, act, why, by=self._by.name)

    def _token(self, conn: sa.Connection, which: Which, role: str) -> int:
        if isinstance(which, ClaimCode):
            found = conn.execute(
                sa.select(token.c.id).where(
                    token.c.claim_print == self._setup.vault.print_of_claim(which)
                )
            ).scalar_one_or_none()
            if found is None:
                raise UsageError("ledger.unknown_unit", which=str(which))
            return int(found)
        return self._live(conn, find_unit(conn, self._setup.vault, which), role).token

    def _tell(
        self,
        conn: sa.Connection,
        act: str,
        reason: str,
        *,
        unit: int | None = None,
        token: int | None = None,
        facts: Mapping[str, Param] | None = None,
    ) -> None:
        entry = Entry(
            act, operator=self._by.name, unit=unit, token=token, reason=reason, facts=facts or {}
        )
        append(conn, self._setup, entry)


def _place(conn: sa.Connection, unit_id: int, role: str) -> Place | None:
    row: Found | None = conn.execute(
        _PLACE.where(assignment.c.state.in_(LIVE)), {"u": unit_id, "r": role}
    ).first()
    return None if row is None else Place(row.id, row.token, unit_id, State(row.state))


def _there(place: Place | None) -> Place:
    if place is None:
        raise UnitError("ledger.nothing_reserved")
    return place


def _hold_of(conn: sa.Connection, unit_id: int) -> Hold:
    return Hold(conn.execute(sa.select(unit.c.hold).where(unit.c.id == unit_id)).scalar_one())


def _back_to_pool(conn: sa.Connection, token_id: int) -> None:
    conn.execute(
        sa.update(token)
        .where(token.c.id == token_id, token.c.state == "taken")
        .values(state="available")
    )
