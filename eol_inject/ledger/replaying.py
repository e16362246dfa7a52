"""What a station remembers goes on record again, after a restore.

Within one memory the last word counts, about a token and about a unit's role: what was given back
or given up meanwhile is nobody's. Where the ledger, or another station's memory, gives the token
to another unit, nobody can tell from here which of them holds it: both are blocked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import sqlalchemy as sa

from eol_inject.errors import Param, StationError, UnitError
from eol_inject.ledger import cloud, identity, marks, people, settling
from eol_inject.ledger.chain import Entry, Setup, append, head
from eol_inject.ledger.model import Hold, LabelState
from eol_inject.ledger.moves import Place, move
from eol_inject.ledger.people import Person
from eol_inject.ledger.schema import assignment, identifier, token
from eol_inject.ledger.standing import hold, void_label
from eol_inject.ledger.transitions import LIVE, Act, State, Who, transition
from eol_inject.ledger.witness import Handed
from eol_inject.unit import Unit

_What = Literal["known", "replayed", "set_aside"]

_TWICE: Final = "after a restore: its token is on record for another unit too"
_ANOTHER: Final = "after a restore: it was given a token that is not the one on record"
_CONTRADICTS: Final = "after a restore: a token was given to a unit of contradicting identifiers"
_GIVEN_UP: Final = "after a restore: its token was given up before"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, in tokens."""

    known: int
    """Handed out, and on record; or given back since."""
    replayed: int
    """On record again, as ``writing``: the unit may hold it, and resumes with it."""
    set_aside: int
    """Revoked, or their units blocked, since unit or token is in another's hands by now."""


def replay(setup: Setup, by: Person, reason: str) -> Replayed:
    """Put what this station remembers on record again.

    Raises ``StationError("ledger.replay_incomplete")`` where tokens are missing altogether: their
    source has to be imported again first.
    """
    witness = settling.memory(setup)
    # By their place in the log: two programs of one station may write them in another order.
    lines = sorted(witness.handed_out(), key=lambda one: one.head.seq)

    def work(conn: sa.Connection) -> Replayed:
        people.require(conn, setup, by, Who.OPERATOR, "replay")
        settling.need(reason, "replay")
        again = _Replay(conn, setup, Entry("replay", operator=by.name, reason=reason), lines)
        done = again.run()
        facts = {"known": done.known, "replayed": done.replayed, "set_aside": done.set_aside}
        append(conn, setup, replace(again.entry, facts=facts))
        settling.unflag(conn, setup.info.station)
        marks.tell(conn, setup)
        return done

    done = setup.db.write(work)
    witness.settle(setup.db.read(lambda conn: head(conn, setup.info.station)))
    return done


class _Replay:
    """One memory, in one transaction."""

    def __init__(
        self, conn: sa.Connection, setup: Setup, entry: Entry, lines: Sequence[Handed]
    ) -> None:
        self.conn, self.setup, self.entry, self.lines = conn, setup, entry, lines
        self.last: dict[bytes, Handed] = {}
        """The last word about each token."""
        self.latest = {(one.unit[:1], one.role): one.print for one in lines if not one.gone}
        """The token that each unit's role was given last."""
        for one in lines:
            self.last.pop(one.print, None)
            self.last[one.print] = one

    def run(self) -> Replayed:
        found = [
            (one, row) for one in self.last.values() if (row := self._token(one.print)) is not None
        ]
        missing = sum(one.gone != Act.RELEASE for one in self.last.values()) - sum(
            one.gone != Act.RELEASE for one, _ in found
        )
        if missing:
            raise StationError("ledger.replay_incomplete", count=missing)
        for one in self.lines:
            if one.gone:
                self._give_up(one)
        counts: dict[_What, int] = {"known": 0, "replayed": 0, "set_aside": 0}
        for one, (token_id, _) in found:
            counts[self._again(one, token_id)] += 1
        return Replayed(**counts)

    def _give_up(self, gone: Handed) -> None:
        """What the backup still has with the unit was given back, or given up, since."""
        row = self._token(gone.print)
        held = None if row is None else self._held(row[0])
        if held is None or held.state not in LIVE or not self._is(held.unit, gone):
            return
        act = Act.RELEASE if gone.gone == Act.RELEASE else Act.REPLACE
        if gone.gone not in {Act.RELEASE, Act.REPLACE} or transition(held.state, act) is None:
            if gone.gone != Act.RELEASE:
                self._block(_GIVEN_UP, held.unit)
            return
        move(self.conn, self.setup, held, act, self.entry)
        if act is Act.RELEASE:
            self._set(held.token, "available")
        else:
            void_label(self.conn, held)
            self._to_do(held.token)

    def _again(self, handed: Handed, token_id: int) -> _What:
        """Which of the counts this token belongs to."""
        row = self._token(handed.print)
        held = self._held(token_id)
        if row is None or row[1] == "revoked" or handed.gone == Act.RELEASE:
            return "known"
        if handed.gone:
            if held is not None:
                return "known"
            self._revoke(token_id, handed)
            self._to_do(token_id)
            return "set_aside"
        return self._handed(handed, token_id, None if held is None else held.unit)

    def _handed(self, handed: Handed, token_id: int, owner: int | None) -> _What:
        unit_id = self._unit(handed)
        if unit_id is not None and owner == unit_id:
            return "known"
        if unit_id is not None and owner is None:
            if self.latest[handed.unit[:1], handed.role] != handed.print:
                # It has had another since: this one was replaced, or given back unseen.
                self._revoke(token_id, handed)
                return "set_aside"
            if not self._occupied(unit_id, handed.role):
                self._assign(handed, Place(0, token_id, unit_id, State.RESERVED))
                return "replayed"
        if owner is None:
            self._revoke(token_id, handed)
            self._block(_CONTRADICTS if unit_id is None else _ANOTHER, *self._named(handed))
        else:
            facts = {"set_aside": str(handed.unit[0])}
            append(self.conn, self.setup, replace(self.entry, token=token_id, facts=facts))
            self._block(_TWICE, owner, *self._named(handed))
        return "set_aside"

    def _token(self, print_: bytes) -> tuple[int, str] | None:
        row = self.conn.execute(
            sa.select(token.c.id, token.c.state).where(token.c.auth_print == print_)
        ).first()
        return None if row is None else (int(row.id), str(row.state))

    def _held(self, token_id: int) -> Place | None:
        """Where the token is, or was until it was given up."""
        row = self.conn.execute(
            sa.select(assignment.c.id, assignment.c.unit, assignment.c.state).where(
                assignment.c.token == token_id, assignment.c.state != State.AVAILABLE
            )
        ).first()
        return None if row is None else Place(row.id, token_id, row.unit, State(row.state))

    def _named(self, handed: Handed) -> tuple[int, ...]:
        """Every unit that one of its identifiers names."""
        found = {
            self.conn.execute(
                sa.select(identifier.c.unit).where(
                    identifier.c.kind == one.kind, identifier.c.value == one.value
                )
            ).scalar_one_or_none()
            for one in handed.unit
        }
        return tuple(sorted(one for one in found if one is not None))

    def _is(self, unit_id: int, handed: Handed) -> bool:
        return self._named(handed) == (unit_id,)

    def _unit(self, handed: Handed) -> int | None:
        """None where its identifiers name several units by now."""
        unit = Unit(handed.unit[0], handed.unit[1:])
        try:
            return identity.find_or_add(self.conn, self.setup, unit, by=self.entry.operator)
        except UnitError:
            return None

    def _occupied(self, unit_id: int, role: str) -> bool:
        live = sa.select(assignment.c.id).where(
            assignment.c.unit == unit_id, assignment.c.role == role, assignment.c.state.in_(LIVE)
        )
        return self.conn.execute(live).first() is not None

    def _set(self, token_id: int, state: str) -> None:
        self.conn.execute(
            sa.update(token)
            .where(token.c.id == token_id, token.c.state != state)
            .values(state=state)
        )

    def _revoke(self, token_id: int, handed: Handed) -> None:
        self._set(token_id, "revoked")
        facts: dict[str, Param] = {
            "set_aside": str(handed.unit[0]) if handed.unit else "", "revoked": 1
        }  # fmt: skip
        append(self.conn, self.setup, replace(self.entry, token=token_id, facts=facts))

    def _to_do(self, token_id: int) -> None:
        why, by = "given up before a restore", self.entry.operator
        cloud.ask(self.conn, self.setup, token_id, "delete", why, by=by)

    def _block(self, why: str, *units: int) -> None:
        for unit_id in dict.fromkeys(units):
            if hold(self.conn, unit_id, why):
                facts = {"hold": Hold.BLOCKED.value, "why": why}
                append(self.conn, self.setup, replace(self.entry, unit=unit_id, facts=facts))

    def _assign(self, handed: Handed, place: Place) -> None:
        self._set(place.token, "taken")
        at = self.setup.now()
        added = self.conn.execute(
            sa.insert(assignment).returning(assignment.c.id),
            {
                "token": place.token, "unit": place.unit, "role": handed.role,
                "prev_state": State.AVAILABLE, "act": Act.RESERVE, "state": State.RESERVED,
                "request": f"replay:{handed.head.hash.hex()}", "proof": "",
                "label": LabelState.NONE, "opened_at": at, "changed_at": at,
            },
        ).scalar_one()  # fmt: skip
        reserved = replace(
            self.entry, act=Act.RESERVE.value, unit=place.unit, token=place.token,
            assignment=int(added), source=State.AVAILABLE, target=State.RESERVED,
            facts={"replay": handed.head.seq, "role": handed.role},
        )  # fmt: skip
        append(self.conn, self.setup, reserved)
        # `writing`, since the unit may hold it already: nobody else ever gets it.
        place = replace(place, assignment=int(added))
        move(self.conn, self.setup, place, Act.BEGIN, self.entry)
