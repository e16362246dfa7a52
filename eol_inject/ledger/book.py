"""The ledger itself: which token went to which unit, and everything that was done."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TextIO, cast
from uuid import uuid4

import sqlalchemy as sa

from eol_inject.errors import UsageError
from eol_inject.events import Outcome
from eol_inject.ledger import (
    attempts,
    audit,
    backup,
    draw,
    exporting,
    gate,
    home,
    identity,
    importing,
    labels,
    lease,
    listing,
    people,
    records,
    replaying,
    settling,
)
from eol_inject.ledger.audit import Anchor, Report
from eol_inject.ledger.backup import Backup
from eol_inject.ledger.chain import Setup, last_at
from eol_inject.ledger.cycle import Cycle
from eol_inject.ledger.desk import Desk
from eol_inject.ledger.exporting import Format
from eol_inject.ledger.label_desk import LabelDesk
from eol_inject.ledger.label_states import CopyRecord
from eol_inject.ledger.lease import Holding
from eol_inject.ledger.model import (
    Count,
    CycleFacts,
    Holder,
    ImportResult,
    Info,
    Lot,
    Todo,
    Tried,
    UnitRecord,
)
from eol_inject.ledger.people import Person, Role
from eol_inject.unit import (
    SELF_ROLE,
    AuthToken,
    ClaimCode,
    Identifier,
    Secret,
    StaticToken,
    Unit,
)


def utc_now() -> datetime:
    """The station's clock."""
    return datetime.now(UTC)


def fresh_id() -> str:
    """A UUID."""
    return str(uuid4())


def _silent(done: int) -> None:
    """Nobody watches."""


class Ledger:
    """An open ledger; ``close`` it, or use it in a ``with``. Safe to use from several threads."""

    def __init__(self, setup: Setup) -> None:
        self._setup: Final = setup
        self._rehearsed = False

    @property
    def info(self) -> Info:
        """Which ledger this is."""
        return self._setup.info

    def begin_cycle(
        self,
        unit: Unit,
        *,
        slot: str,
        operator: str,
        traceability: CycleFacts,
        role: str = SELF_ROLE,
    ) -> Cycle:
        """Take the unit for one pass through ``slot``; its attempt is on record from now on.

        ``role``: which of the unit's tokens this pass is about. ``traceability.port`` tells two
        programs apart that call their slots by one name.
        Raises ``StationError("ledger.unit_busy")`` while another slot works on it,
        ``UnitError("ledger.identity_contradicts")``; after a restore
        ``StationError``: ``ledger.behind_witness``, ``ledger.unsettled``; for a ledger or a
        station that is on two computers ``ledger.copied``, ``ledger.station_taken``.
        """
        setup = self._setup
        wanted = Holding(0, 0, setup.unique(), slot, operator, traceability.port)
        if setup.db.shared:
            from eol_inject.ledger import begin_trip, one_trip

            if not self._rehearsed:
                one_trip.rehearse(setup)
                self._rehearsed = True
            begun = begin_trip.begin(setup, unit, wanted, traceability)
            if begun is not None:
                return Cycle(setup, *begun, role)
        gate.refuse(setup)

        def work(conn: sa.Connection) -> Cycle:
            unit_id = identity.find_or_add(conn, setup, unit, by=operator)
            held = lease.take(conn, setup, replace(wanted, unit=unit_id))
            attempts.start(conn, setup, held, unit_id, traceability)
            return Cycle(setup, held, identity.load(conn, unit_id), role)

        return setup.db.write(work)

    def record_attempt_without_unit(
        self,
        *,
        slot: str,
        operator: str,
        traceability: CycleFacts,
        outcome: Outcome,
        code: str,
        detail: str = "",
        times: Mapping[str, float] | None = None,
    ) -> str:
        """Record an attempt that ended before a cycle could begin; the answer is its id."""
        setup = self._setup
        held = Holding(0, 0, setup.unique(), slot, operator)
        ending = attempts.Ending(outcome, code, detail, None, times or {}, None)

        def work(conn: sa.Connection) -> str:
            attempts.start(conn, setup, held, None, traceability)
            attempts.finish(conn, setup, held, ending)
            return held.attempt

        return setup.db.write(work)

    def tried_at(self, slot: str, count: int) -> tuple[Tried, ...]:
        """The last ``count`` attempts that ended in this station's slot, newest first."""
        station = self._setup.info.station
        return self._setup.db.read(lambda conn: attempts.at_slot(conn, station, slot, count))

    def require_space(self) -> None:
        """That the disk has room for what a cycle puts on record, where that can be asked.

        Raises ``StationError("ledger.disk_full")``.
        """
        self._setup.db.require_space()

    def left(self, product: str, organization: int | None, lot: str, *, at_most: int) -> int:
        """How many tokens a run may still draw; ``at_most`` where there are more."""
        return self._setup.db.read(
            lambda conn: draw.left(conn, draw.Wanted(product, organization, lot), at_most)
        )

    def last_told(self) -> datetime | None:
        """When this station's newest event was told, by its own clock; None before the first."""
        setup = self._setup
        found = setup.db.read(lambda conn: last_at(conn, setup.info.station))
        return None if found is None else datetime.fromisoformat(found)

    def look_up(self, auth: AuthToken) -> Holder | None:
        """Whose token this is, by its fingerprint; None for one the ledger never saw."""
        return self._setup.db.read(lambda conn: records.look_up(conn, self._setup.vault, auth))

    def knows(self, auth: AuthToken) -> bool:
        """Whether this is a token of this ledger, whoever has it."""
        return self.look_up(auth) is not None

    def look_up_claim(self, claim: ClaimCode) -> Holder | None:
        """Whose label this is; None for a code the ledger never saw."""
        return self._setup.db.read(
            lambda conn: records.look_up_claim(conn, self._setup.vault, claim)
        )

    def show(self, which: Identifier | ClaimCode) -> UnitRecord:
        """Everything about one unit, public facts only.

        Raises ``UsageError("ledger.unknown_unit")``.
        """
        return self._setup.db.read(lambda conn: records.show(conn, self._setup.vault, which))

    def named(self, value: str) -> tuple[Identifier, ...]:
        """Known identifiers with this value, for one typed without its kind."""
        return self._setup.db.read(lambda conn: records.unit_of(conn, value))

    def units(self, *, lot: str | None = None) -> tuple[listing.UnitLine, ...]:
        """The units of a lot (None: of every lot), a line each, in the order they got a token."""
        return self._setup.db.read(lambda conn: listing.units(conn, lot=lot))

    def status(self) -> tuple[Count, ...]:
        """Tokens by product, organization, lot and state."""
        return self._setup.db.read(records.status)

    def lots(self) -> tuple[Lot, ...]:
        """Every lot with what is left of it, in the order they came."""
        return self._setup.db.read(records.lots)

    def todos(self, *, closed: bool = False) -> tuple[Todo, ...]:
        """What the cloud still has to be told; with ``closed``, what it was told too."""
        return self._setup.db.read(lambda conn: records.todos(conn, closed=closed))

    def authenticate(self, name: str, pin: Secret | None = None) -> Person:
        """Who this is, by name and PIN.

        Raises ``UsageError``: ``ledger.no_people``, ``unknown_person``, ``wrong_pin``,
        ``pin_locked``.
        """
        return people.authenticate(self._setup, name, pin)

    def desk(self, by: Person) -> Desk:
        """What a person may do about units outside a cycle."""
        return Desk(self._setup, by)

    def label_desk(self, by: Person) -> LabelDesk:
        """What a person may do about labels outside a cycle."""
        return LabelDesk(self._setup, by)

    def labels(self, which: Identifier | ClaimCode) -> tuple[CopyRecord, ...]:
        """Every label that a unit ever had, oldest first.

        Raises ``UsageError("ledger.unknown_unit")``.
        """
        vault = self._setup.vault
        return self._setup.db.read(
            lambda conn: labels.of_unit(conn, records.find_unit(conn, vault, which))
        )

    def label(self, code: str) -> CopyRecord | None:
        """The label with this id; None for one the ledger never made."""
        return self._setup.db.read(lambda conn: labels.find(conn, code))

    def label_waiting(self, printer: str) -> CopyRecord | None:
        """The label of this printer whose whereabouts nobody knows yet."""
        return self._setup.db.read(lambda conn: labels.waiting(conn, printer))

    def sheet(self, batch: str) -> tuple[CopyRecord, ...]:
        """The labels of one sheet job, in their order."""
        return self._setup.db.read(lambda conn: labels.of_batch(conn, batch))

    def add_person(
        self,
        name: str,
        role: Role,
        pin: Secret,
        *,
        by: Person | None = None,
        badge: Secret | None = None,
    ) -> Person:
        """Name somebody, or change role, PIN, badge; the first must be an admin and needs no
        ``by``.

        Raises ``UsageError``: ``ledger.bad_pin``, ``bad_badge``, ``badge_taken``,
        ``first_is_admin``, ``not_allowed``.
        """
        return people.add(self._setup, name, role, pin, by=by, badge=badge)

    def name_of_badge(self, badge: Secret) -> str:
        """Whose badge was scanned. Raises ``UsageError("ledger.unknown_badge")``."""
        return people.of_badge(self._setup, badge)

    def remove_person(self, name: str, *, by: Person) -> None:
        """Somebody left. Raises ``UsageError``: ``ledger.last_admin``, ``unknown_person``."""
        people.remove(self._setup, name, by=by)

    def people(self) -> tuple[Person, ...]:
        """Who is named, with roles."""
        return self._setup.db.read(people.everybody)

    def replay(self, *, by: Person, reason: str) -> replaying.Replayed:
        """After a restore: put the tokens that this station handed out on record again.

        Raises ``StationError``: ``ledger.no_witness``, ``replay_incomplete``.
        """
        return replaying.replay(self._setup, by, reason)

    def settle(self, station: str, *, by: Person, reason: str) -> None:
        """After a restore: vouch for a station that cannot replay any more."""
        settling.settle(self._setup, station, by, reason)

    def adopt(self, *, by: Person, reason: str) -> None:
        """The ledger, or this station, moved to this computer for good."""
        home.adopt(self._setup, by, reason)

    def permit_station(self, role: str) -> None:
        """Let the database user ``role`` work as a station, without rights to rewrite the log.

        Raises ``UsageError("ledger.no_server")`` for a file, which has no users.
        """
        database = self._setup.db
        if not database.shared:
            raise UsageError("ledger.no_server")
        from eol_inject.ledger.postgresql import PostgresqlDatabase

        cast("PostgresqlDatabase", database).permit_station(role)

    def backup(self, path: Path) -> Backup:
        """Copy everything but the keys into a new file, while the line runs.

        Raises ``UsageError("ledger.backup_exists")``, ``StationError("ledger.no_folder")``.
        """
        return backup.backup(self._setup, path)

    def mark_restored(self, operator: str, path: Path, stations: set[str]) -> None:
        """For ``restore_ledger`` only: a new generation, and every station has to speak first."""
        backup.mark_restored(self._setup, operator, path, stations)

    def anchor(self) -> Anchor:
        """Where the chains end now, to be kept outside: see ``audit.write_anchor``."""
        return audit.anchor_of(self._setup)

    def check(
        self, anchors: Sequence[Anchor] = (), *, progress: Callable[[int], None] = _silent
    ) -> Report:
        """Look at everything: chains, rules, counts, fingerprints. Changes nothing."""
        return audit.check(self._setup, anchors, progress)

    def export(
        self,
        out: TextIO,
        how: Format,
        *,
        lot: str | None = None,
        secrets_for: Person | None = None,
        reason: str = "",
    ) -> int:
        """Every token and what became of it, a row each; how many.

        ``secrets_for`` adds AuthTokens and claim codes, for an engineer with a reason: on record.
        """
        if secrets_for is None:
            return exporting.write(self._setup, out, how, lot)
        return exporting.write_with_secrets(
            self._setup, out, how, lot, by=secrets_for, reason=reason
        )

    def import_tokens(
        self,
        tokens: Iterable[StaticToken],
        *,
        product: str,
        lot: str,
        organization: int | None,
        source_sha256: str,
        operator: str,
        progress: Callable[[int], None] = _silent,
    ) -> ImportResult:
        """Take the new ones of ``tokens`` into the pool: all of them, or none.

        ``organization`` stands for tokens whose claim code does not say. ``progress`` is told the
        rows read so far. Raises ``UsageError("ledger.token_contradicts")`` (``row``, ``what``).
        """
        parcel = importing.Parcel(product, lot, organization, source_sha256, operator)
        setup = self._setup
        return setup.db.write_staged(
            lambda conn: importing.stage(conn, setup, tokens, parcel, progress),
            lambda conn: importing.take(conn, setup, parcel),
        )

    def close(self) -> None:
        """Give every connection back."""
        self._setup.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
