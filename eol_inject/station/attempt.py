"""One attempt in the making: what is known so far, and its end in the ledger and in a record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eol_inject.device import Identity
from eol_inject.device.masking import hide
from eol_inject.errors import EolError, Exit
from eol_inject.events import Outcome
from eol_inject.ledger import Cycle, CycleFacts
from eol_inject.report import CycleRecord, Failure
from eol_inject.station import traceability
from eol_inject.station.bench import Bench
from eol_inject.station.teller import Teller
from eol_inject.unit import Proven, Secret, Unit

_KEPT: Final = 8000
"""Characters of the boot log that stay with the attempt, the last ones."""
KEEP_EVERY_S = 20.0
"""A sign of life for the ledger at least so often while bytes move; its lease lasts 90 s."""


@dataclass(slots=True)
class Attempt:
    """Grows while the cycle runs; ``finish`` turns it into the record of it."""

    bench: Bench
    teller: Teller
    port: str
    identity: Identity | None = None
    cycle: Cycle | None = None
    """Set as soon as the unit's lease is held; until then the attempt has no unit in the ledger."""
    proven: Proven | None = None
    good: bool = False
    """All that was asked of the unit was answered: what is missing now is a label or a record."""
    state: str = ""
    boot_log: str = ""
    """What the unit's console said after the write, secrets hidden."""
    secrets: tuple[Secret, ...] = ()
    """This unit's own, once its token is reserved."""
    label: str = ""
    label_id: str = ""
    """Id and copy of the last label."""
    label_digest: str = ""
    label_files: tuple[Path, ...] = ()
    resumed: bool = False
    facts: CycleFacts = field(init=False)
    _kept_at: float = 0.0
    """Seconds into the cycle at which the lease was renewed last."""

    def __post_init__(self) -> None:
        self.facts = traceability.of_bench(self.bench, self.port)

    def identified(self, identity: Identity) -> None:
        """The unit in the slot is this one."""
        self.identity = identity
        self.facts = traceability.with_identity(self.facts, identity)
        self.teller.unit(str(identity.unit), identity.chip)
        self._tell_notes(identity)

    def identified_again(self, identity: Identity) -> None:
        """The same unit at the end of its cycle: the wire may have been slowed down meanwhile."""
        self.identity = identity
        self.facts = traceability.with_identity(self.facts, identity)
        self._tell_notes(identity)
        self.good = True

    def _tell_notes(self, identity: Identity) -> None:
        for note in identity.notes:
            if note not in self.teller.notes:
                self.teller.note("device.note", note)

    def heard(self, log: str) -> None:
        """Keep what the unit said when it started, without this unit's secrets."""
        self.boot_log = hide(log, self.secrets)[-_KEPT:]

    def take(self, unit: Unit) -> Cycle:
        """The unit's lease: from here on its attempt is the ledger's."""
        self.cycle = self.bench.ledger.begin_cycle(
            unit,
            slot=self.teller.slot,
            operator=self.bench.operator,
            traceability=self.facts,
            role=self.bench.profile.spec.product.role,
        )
        return self.cycle

    def progress(self, done: int, total: int) -> None:
        """Tell how many bytes have moved, and keep the lease: a slow wire outlasts it.

        Raises ``StationError("ledger.lease_lost")`` where another station has taken the unit over.
        """
        self.teller.progress(done, total)
        self.keep()

    def keep(self) -> None:
        """A sign of life for the ledger, where the last one is a while ago.

        Raises ``StationError("ledger.lease_lost")``.
        """
        if self.cycle is not None and self.teller.seconds - self._kept_at > KEEP_EVERY_S:
            self.cycle.keep()
            self._kept_at = self.teller.seconds

    def finish(self, error: EolError | None) -> CycleRecord:
        """Record the verdict, end the lease, and say how it went. Does not raise ``EolError``."""
        outcome = self._outcome(error)
        try:
            self._into_ledger(outcome, error)
        except EolError as unrecorded:
            # The verdict could not be written down: the first error is what people must hear.
            if error is None:
                error = unrecorded
                outcome = Outcome.RECORD_MISSING
            else:
                self.teller.note(unrecorded.code, f"Not on record: {unrecorded}")
        unit = str(self.identity.unit) if self.identity else ""
        self.teller.ended(unit, outcome, error)
        return CycleRecord(
            unit=unit,
            slot=self.teller.slot,
            outcome=outcome,
            seconds=self.teller.seconds,
            chip=self.identity.chip if self.identity else "",
            proof=self.proven.proof if self.proven else None,
            state=self.state,
            claim_tail=self.proven.claim.tail if self.proven else "",
            label=self.label,
            label_id=self.label_id,
            label_files=self.label_files,
            steps=tuple(self.teller.steps),
            notes=tuple(self.teller.notes),
            resumed=self.resumed,
            failure=Failure.of(error) if error else None,
        )

    def _outcome(self, error: EolError | None) -> Outcome:
        """A good unit stays good whatever the station lacks: its label or record is missing."""
        if error is None:
            return Outcome.PASS
        if self.good and error.exit in {Exit.STATION_BAD, Exit.USAGE}:
            return Outcome.RECORD_MISSING
        return Outcome.of(error.exit)

    def _into_ledger(self, outcome: Outcome, error: EolError | None) -> None:
        times = {step.value: seconds for step, seconds in self.teller.steps}
        code = error.code if error else ""
        if self.cycle is not None:
            self.cycle.end(
                outcome,
                code,
                detail=self.boot_log,
                proof=self.proven.proof if self.proven else None,
                facts=self.facts,
                times=times,
            )
        else:
            self.bench.ledger.record_attempt_without_unit(
                slot=self.teller.slot,
                operator=self.bench.operator,
                outcome=outcome,
                code=code,
                traceability=self.facts,
                times=times,
            )
