"""One unit's pass through a slot, as the ledger sees it: every verb is one durable transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa

from eol_inject.errors import Param, RecordError, StationError, UnitError
from eol_inject.events import Outcome
from eol_inject.ledger import attempts, draw, identity, lease
from eol_inject.ledger.chain import Entry, Head, Setup, append
from eol_inject.ledger.labels import Labels
from eol_inject.ledger.lease import FRESH_S, Holding
from eol_inject.ledger.model import CycleFacts, Hold, LabelState, Reserved, Standing, Tried
from eol_inject.ledger.moves import Place, move
from eol_inject.ledger.prepared import Prepared
from eol_inject.ledger.proving import read_back_of
from eol_inject.ledger.schema import Found, assignment, token
from eol_inject.ledger.standing import (
    STAND,
    hold,
    refuse,
    refuse_erased,
    refuse_held,
    refuse_revoked,
    void_label,
)
from eol_inject.ledger.transitions import HOLDS, Act, State
from eol_inject.ledger.witness import Handed, gave_up, remember
from eol_inject.unit import SELF_ROLE, AuthToken, Proof, Proven, Unit

_ORDER: Final = (
    State.RESERVED, State.WRITING, State.WRITTEN, State.VERIFIED, State.LABELLED, State.CLOSED,
)  # fmt: skip
_ADD: Final = Prepared(
    sa.insert(assignment).returning(assignment.c.id),
    columns=[column.name for column in assignment.c if column.name != "id"],
)
_PROVED: Final = Prepared(
    sa.update(assignment)
    .where(assignment.c.id == sa.bindparam("a"))
    .values(proof=sa.bindparam("p"))
)
_LABELLED: Final = Prepared(
    sa.update(assignment)
    .where(assignment.c.id == sa.bindparam("a"))
    .values(label=sa.bindparam("l"))
)


class Cycle:
    """The right to move one unit until ``end``. Made by ``Ledger.begin_cycle`` only.

    Every verb may raise ``StationError("ledger.lease_lost")`` (another cycle took the unit over)
    and the database's own errors. A verb that finds its work done already does nothing, so it can
    be asked again after a lost answer.
    """

    def __init__(self, setup: Setup, held: Holding, known: Unit, role: str = SELF_ROLE) -> None:
        self._setup = setup
        self._held = held
        self._role = role
        self._writing = False
        """Bytes may be on their way into the unit, and nobody has proved yet what it holds."""
        self.unit: Final = known
        """With every identifier the ledger knows."""

    @property
    def attempt(self) -> str:
        """The attempt's id, as the records show it."""
        return self._held.attempt

    @property
    def labels(self) -> Labels:
        """The physical labels of the token that was reserved."""
        entry = Entry("label", operator=self._held.operator, attempt=self._held.attempt)
        return Labels(self._setup, self._place, entry)

    def tried(self, count: int) -> tuple[Tried, ...]:
        """This unit's attempts since somebody acted on it by name, newest first."""
        unit = self._held.unit
        return self._setup.db.read(lambda conn: attempts.of_unit(conn, unit, count))

    def block(self, why: str) -> bool:
        """Stop the unit until a person has looked; whether nobody had stopped it yet."""

        def work(conn: sa.Connection) -> bool:
            stopped = hold(conn, self._held.unit, why)
            if stopped:
                entry = self._entry("limit", reason=why, facts={"hold": Hold.BLOCKED})
                append(conn, self._setup, entry)
            return stopped

        return self._setup.db.write(work)

    def standing(self) -> Standing:
        """How the ledger sees the unit; asks nothing and changes nothing."""

        def work(conn: sa.Connection) -> Standing:
            row = self._stand(conn)
            counts = attempts.count(conn, self._held.unit)
            own = row.auth and self._setup.vault.open_auth(row.uid, row.auth)
            return Standing(
                hold=Hold(row.hold),
                reason=row.hold_reason,
                assignment=row.assignment,
                state=row.state and State(row.state),
                own=own,
                product=row.product or "",
                lot=row.lot or "",
                organization=row.organization,
                claim_tail=row.claim_tail or "",
                label=LabelState(row.label or LabelState.NONE),
                attempts=counts[0],
                failed_in_a_row=counts[1],
            )

        return self._setup.db.write(work)

    def expect(self, *, blank: bool) -> None:
        """Stop a unit that must not go on, before anything is reserved.

        ``blank``: inspect found no token on it. Raises ``UnitError``: ``ledger.unit_blocked``,
        ``unit_recall``, ``unit_scrapped``, ``unit_quarantined``, ``unit_closed``; and
        ``ledger.unit_erased`` for a blank unit that was written (or a clone of it).
        """

        def work(conn: sa.Connection) -> None:
            row = self._stand(conn)
            if blank:
                refuse_erased(row)
            refuse(row)

        self._setup.db.write(work)

    def reserve(self, product: str, organization: int | None, lot: str) -> Reserved:
        """The unit's token: the one it has, the one bound to it, or the next of the lot.

        Committed and on disk when this returns. Asked again for the same unit and role, by this
        cycle or a later one, it gives the same token. Raises what ``expect`` raises, and
        ``ledger.pool_empty``, ``other_product``, ``other_organization``, ``other_lot``,
        ``identity_contradicts``, ``bound_twice``, ``bound_taken``.
        """
        wanted, vault = draw.Wanted(product, organization, lot), self._setup.vault
        request = f"{self._setup.unique()}:{self._role}"
        if self._setup.db.shared:
            from eol_inject.ledger import one_trip

            drawn = one_trip.reserve(
                self._setup, wanted, self._held.fence, self._reserved(),
                role=self._role, request=request,
            )  # fmt: skip
            if drawn is not None:
                row, added, at = drawn
                remember(self._setup, self._handed(row, at))
                return draw.reserved(vault, row, added, State.RESERVED, resumed=False)

        def work(conn: sa.Connection) -> tuple[Reserved, Handed | None]:
            row = self._stand(conn)
            refuse(row)
            if row.assignment is not None:
                refuse_revoked(row)
                wanted.refuse_other(row.product, row.organization, row.lot)
                state = State(row.state)
                reserved = draw.reserved(vault, row, row.assignment, state, resumed=True)
                if state is not State.RESERVED or self._setup.witness is None:
                    return reserved, None
                # Killed before its memory was written, perhaps, and at another station: what is
                # remembered here must stand in this station's own chain.
                entry = self._entry("handed", token=row.token, assignment=row.assignment)
                return reserved, self._handed(row, append(conn, self._setup, entry))
            taken = None
            if row.bindings:
                taken = draw.bound_to(
                    conn, self._setup, self._held.unit, wanted, by=self._held.operator
                )
            if taken is None:
                taken = draw.from_pool(conn, wanted)
            added, at = self._assign(conn, taken.id, request)
            reserved = draw.reserved(vault, taken, added, State.RESERVED, resumed=False)
            return reserved, self._handed(taken, at)

        reserved, handed = self._setup.db.write(work)
        remember(self._setup, handed)
        return reserved

    def begin_writing(self) -> None:
        """``reserved`` → ``writing``: to be called just before the first byte is written."""

        def work(conn: sa.Connection) -> None:
            row = self._stand(conn)
            refuse_revoked(row)
            lease.renew(conn, self._held)
            place = self._place_of(row)
            if place.state is not State.WRITING:
                self._move(conn, place, Act.BEGIN)

        self._setup.db.write(work)
        self._writing = True

    def written(self) -> None:
        """``writing`` → ``written``: the device said that every block arrived."""
        self._advance(Act.WRITTEN, State.WRITTEN, done=_ORDER[2:])

    def prove(self, auth_read: AuthToken, proof: Proof) -> Proven:
        """``written`` → ``verified``, and the record a label is made from.

        ``auth_read`` is what was read back from this unit. Raises ``UnitError``
        (``ledger.not_proven``) where it is not this unit's live token; for a token without a QR
        code, ``RecordError("ledger.no_claim_code")`` after the unit is verified.
        """

        def work(conn: sa.Connection) -> Proven | None:
            place = self._place(conn)
            found = read_back_of(conn, self._setup, place, auth_read)
            if place.state is State.WRITTEN:
                self._move(conn, place, Act.PROVE, facts={"proof": proof})
                _PROVED.run(conn, {"a": place.assignment, "p": proof})
            elif place.state not in HOLDS:
                raise UnitError("ledger.illegal_act", act=Act.PROVE.value, state=place.state.value)
            return found.proven(identity.load(conn, self._held.unit), self._role, proof)

        proven = self._setup.db.write(work)
        self._writing = False
        if proven is None:
            raise RecordError("ledger.no_claim_code", unit=str(self.unit))
        return proven

    def labelled(
        self,
        *,
        outcome: LabelState = LabelState.PRINTED,
        template: str = "",
        digest: str = "",
        files: Sequence[str] = (),
        note: str = "",
    ) -> None:
        """``verified`` → ``labelled``: the label exists. ``files``: where, for people."""
        facts: dict[str, Param] = {
            "outcome": outcome, "template": template, "digest": digest,
            "files": "\n".join(files), "note": note,
        }  # fmt: skip

        def work(conn: sa.Connection) -> None:
            place = self._place(conn)
            if place.state in _ORDER[4:]:
                return
            self._move(conn, place, Act.LABEL, facts=facts)
            _LABELLED.run(conn, {"a": place.assignment, "l": outcome})

        self._setup.db.write(work)

    def label_sent(self, *, why: str, template: str = "", files: Sequence[str] = ()) -> None:
        """Record that a label was given to a printer which did not confirm; no state changes."""
        self.note("label_sent", why=why, template=template, files="\n".join(files))

        def work(conn: sa.Connection) -> None:
            place = self._place(conn, anyhow=True)
            conn.execute(
                sa.update(assignment)
                .where(
                    assignment.c.id == place.assignment, assignment.c.label == LabelState.NONE.value
                )
                .values(label=LabelState.SENT)
            )

        self._setup.db.write(work)

    def close(self) -> None:
        """``labelled`` → ``closed``: the unit is done."""
        self._advance(Act.CLOSE, State.CLOSED, done=(State.CLOSED,))

    def release(self) -> None:
        """``reserved`` → the pool again; refused once it ever was ``writing``."""

        def work(conn: sa.Connection) -> Handed | None:
            row = self._stand(conn)
            if row.assignment is None:
                return None
            place = Place(row.assignment, row.token, self._held.unit, State(row.state))
            self._move(conn, place, Act.RELEASE)
            conn.execute(
                sa.update(token)
                .where(token.c.id == place.token, token.c.state == "taken")
                .values(state="available")
            )
            return gave_up(conn, self._setup, place, Act.RELEASE)

        remember(self._setup, self._setup.db.write(work))

    def quarantine(self, reason: str) -> None:
        """``writing`` … ``closed`` → ``quarantined``: a person must look; nobody gets the token."""

        def work(conn: sa.Connection) -> None:
            place = self._place(conn, anyhow=True)
            if place.state is State.QUARANTINED:
                return
            self._move(conn, place, Act.QUARANTINE, reason=reason)
            void_label(conn, place)

        self._setup.db.write(work)

    def clear_blank(self, reason: str) -> None:
        """``quarantined`` → ``writing``, by a read-back that shows the whole region blank."""

        def work(conn: sa.Connection) -> None:
            self._move(conn, self._place(conn), Act.CLEAR, reason=reason)

        self._setup.db.write(work)

    def note(self, act: str, **facts: Param) -> None:
        """Append a public fact to the log; no state changes."""

        def work(conn: sa.Connection) -> None:
            row = self._stand(conn)
            entry = self._entry(act, token=row.token, assignment=row.assignment, facts=facts)
            append(conn, self._setup, entry)

        self._setup.db.write(work)

    def keep(self) -> None:
        """A sign of life, for waits and long writes: at least every 30 s."""
        self._setup.db.write(lambda conn: lease.renew(conn, self._held))

    def end(
        self,
        outcome: Outcome,
        code: str = "",
        *,
        detail: str = "",
        proof: Proof | None = None,
        times: Mapping[str, float] | None = None,
        facts: CycleFacts | None = None,
    ) -> None:
        """The attempt's record and the end of the lease, in one transaction.

        ``times``: seconds by step. ``facts`` replaces what ``begin_cycle`` was told, where more is
        known now. A late cycle's attempt is recorded too, without touching the other's lease;
        where it was writing, two units may hold the token by now, and the unit is blocked.
        """
        ending = attempts.Ending(outcome, code, detail, proof, times or {}, facts)

        def work(conn: sa.Connection) -> None:
            if not lease.end(conn, self._held) and self._writing:
                why = "two cycles wrote this unit at once: perhaps two units hold its token"
                if hold(conn, self._held.unit, why):
                    entry = self._entry("lease_lost", reason=why, facts={"hold": Hold.BLOCKED})
                    append(conn, self._setup, entry)
            attempts.finish(conn, self._setup, self._held, ending)

        self._setup.db.write(work)

    def _stand(self, conn: sa.Connection) -> Found:
        row: Found = STAND.first(conn, {"u": self._held.unit, "r": self._role})
        if row.fence != self._held.fence:
            raise StationError("ledger.lease_lost", slot=self._held.slot)
        if row.left < FRESH_S:
            lease.renew(conn, self._held)
        return row

    def _place(self, conn: sa.Connection, *, anyhow: bool = False) -> Place:
        return self._place_of(self._stand(conn), anyhow=anyhow)

    def _place_of(self, row: Found, *, anyhow: bool = False) -> Place:
        """Raises for a unit that was stopped meanwhile, except ``anyhow``."""
        if not anyhow:
            refuse_held(row)
        if row.assignment is None:
            raise UnitError("ledger.nothing_reserved")
        return Place(row.assignment, row.token, self._held.unit, State(row.state))

    def _advance(self, act: Act, target: State, *, done: Sequence[State]) -> None:
        def work(conn: sa.Connection) -> None:
            place = self._place(conn)
            if place.state not in done:
                self._move(conn, place, act)

        self._setup.db.write(work)

    def _move(
        self,
        conn: sa.Connection,
        place: Place,
        act: Act,
        *,
        reason: str = "",
        facts: Mapping[str, Param] | None = None,
    ) -> Place:
        entry = self._entry(act.value, reason=reason, facts=facts)
        return move(conn, self._setup, place, act, entry)

    def _entry(
        self,
        act: str,
        *,
        token: int | None = None,
        assignment: int | None = None,
        reason: str = "",
        facts: Mapping[str, Param] | None = None,
    ) -> Entry:
        return Entry(
            act,
            operator=self._held.operator,
            unit=self._held.unit,
            token=token,
            assignment=assignment,
            attempt=self._held.attempt,
            reason=reason,
            facts=facts or {},
        )

    def _assign(self, conn: sa.Connection, token_id: int, request: str) -> tuple[int, Head]:
        """``request``: the same however often one call is tried, so that it assigns once."""
        row = _ADD.first(conn, {"token": token_id, "request": request, **self._new_assignment()})
        added = int(row.id)
        entry = replace(self._reserved(), token=token_id, assignment=added)
        return added, append(conn, self._setup, entry)

    def _new_assignment(self) -> dict[str, Any]:
        at = self._setup.now()
        return {
            "unit": self._held.unit, "role": self._role, "prev_state": State.AVAILABLE,
            "act": Act.RESERVE, "state": State.RESERVED,
            "proof": "", "label": LabelState.NONE,
            "opened_at": at, "changed_at": at,
        }  # fmt: skip

    def _reserved(self) -> Entry:
        facts: dict[str, Param] = {} if self._role == SELF_ROLE else {"role": self._role}
        entry = self._entry(Act.RESERVE, facts=facts)
        return replace(entry, source=State.AVAILABLE, target=State.RESERVED)

    def _handed(self, row: Found, at: Head) -> Handed:
        return Handed(at, bytes(row.auth_print), self.unit.identifiers, self._role)
