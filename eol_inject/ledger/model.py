"""What the ledger says and is told: plain frozen data, light enough to import anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from eol_inject.events import Outcome
from eol_inject.ledger.transitions import Act, State
from eol_inject.unit import SELF_ROLE, AuthToken, Identifier, Secret, Unit

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Kind(StrEnum):
    """Production or training, for life."""

    PRODUCTION = "production"
    TRAINING = "training"


class Hold(StrEnum):
    """Why a unit must not go on, apart from the state of its token."""

    NONE = ""
    BLOCKED = "blocked"
    RECALL = "recall"
    SCRAPPED = "scrapped"


class LabelState(StrEnum):
    """What became of the unit's label."""

    NONE = "none"
    SENT = "sent"
    """Given to a printer that could not say whether it came out."""
    PRINTED = "printed"
    """A file was written, or the printer confirmed."""
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Info:
    """Which ledger this is."""

    id: str
    """UUID, given at creation."""
    kind: Kind
    revision: str
    """Revision of the schema."""
    generation: int
    """Counts restores; a witness compares it."""
    station: str
    where: str
    """URL without password."""


@dataclass(frozen=True, slots=True)
class CycleFacts:
    """What makes an attempt traceable; public text only."""

    product: str = ""
    lot: str = ""
    profile: str = ""
    profile_sha256: str = ""
    template_sha256: str = ""
    image_sha256: str = ""
    firmware: str = ""
    """Type and version from the image's own identity."""
    mode: str = ""
    chip: str = ""
    revision: str = ""
    flash_size: int = 0
    """Bytes; 0 where unknown."""
    port: str = ""
    baud: int = 0
    unit: str = ""
    """Its primary identifier, as far as it is known: also where the ledger gave no cycle for it."""
    versions: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Library and tool → version."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt that ended, as far as limits ask."""

    unit: int | None
    """None where it ended before the identity was known."""
    outcome: str
    code: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How the ledger sees a unit before anything is reserved."""

    hold: Hold
    reason: str
    assignment: int | None
    state: State | None
    """State of the live assignment of the role, None where there is none."""
    own: AuthToken | None
    """The token this unit must hold, for telling it from others; None where there is none."""
    product: str = ""
    lot: str = ""
    organization: int | None = None
    claim_tail: str = ""
    label: LabelState = LabelState.NONE
    attempts: int = 0
    """Attempts on this unit so far, this one included."""
    failed_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Reserved:
    """What ``reserve`` hands out: never a claim code."""

    assignment: int
    state: State
    auth: AuthToken
    fields: Mapping[str, str | Secret]
    resumed: bool
    """The unit had this token already; it goes on where it stopped."""
    has_claim_code: bool
    """False for tokens of a devices export: there will be no label."""

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What nobody may see of this token and its fields."""
        return (self.auth, *(one for one in self.fields.values() if isinstance(one, Secret)))


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token this is, as found by its fingerprint."""

    unit: Unit | None
    """None while the token is in the pool."""
    product: str
    organization: int | None
    lot: str
    state: State
    label: LabelState
    claim_tail: str
    live: bool
    """False for a former holder: released, replaced or scrapped."""
    revoked: bool = False
    role: str = SELF_ROLE


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import changed. ``new + known`` is the number of rows read."""

    new: int
    known: int
    bound: int
    """Of the new ones, those that belong to one unit already."""
    without_claim: int
    """Of the new ones, those without a QR token."""


@dataclass(frozen=True, slots=True)
class Count:
    """One line of ``status``: how many tokens of a lot are in a state."""

    product: str
    organization: int | None
    lot: str
    state: State
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a ledger that is not as it should be."""

    where: str
    """A row: ``event st1/17``, ``assignment 4``, ``token 12``; or a rule: ``trigger …``."""
    what: str


@dataclass(frozen=True, slots=True)
class Lot:
    """One lot of tokens and what is left of it."""

    product: str
    organization: int | None
    lot: str
    total: int
    available: int
    revoked: int
    imported_at: str


@dataclass(frozen=True, slots=True)
class Todo:
    """What the cloud has to be told about a token: ``delete`` or ``unclaim``."""

    number: int
    act: str
    product: str
    lot: str
    claim_tail: str
    why: str
    opened_at: str
    opened_by: str
    closed_at: str | None
    closed_by: str | None
    closed_how: str | None


@dataclass(frozen=True, slots=True)
class AssignmentRecord:
    """One token of a unit, public facts only."""

    id: int
    role: str
    state: State
    product: str
    organization: int | None
    lot: str
    claim_tail: str
    proof: str
    label: LabelState
    revoked: bool
    fields: Mapping[str, str]
    opened_at: str
    changed_at: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try, with its outcome; ``outcome`` is None while it runs or where it was cut off."""

    id: str
    station: str
    slot: str
    operator: str
    started_at: str
    ended_at: str | None
    outcome: Outcome | None
    code: str
    proof: str
    facts: CycleFacts
    times: Mapping[str, float]
    log: str = ""
    """What the unit's console said after the write, tokens hidden."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One line of the append-only log."""

    seq: int
    station: str
    at: str
    act: str
    operator: str
    source: State | None
    target: State | None
    reason: str
    facts: Mapping[str, str | int | float | None]
    attempt: str = ""
    """Of the cycle that did it; empty for what people did at the desk."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """Everything the ledger knows about a unit, without a secret."""

    unit: Unit
    hold: Hold
    reason: str
    assignments: tuple[AssignmentRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    events: tuple[EventRecord, ...]


__all__ = [
    "Act", "AssignmentRecord", "AttemptRecord", "Count", "CycleFacts", "EventRecord", "Finding",
    "Hold", "Holder", "Identifier", "ImportResult", "Info", "Kind", "LabelState", "Lot", "Reserved",
    "Standing", "State", "Todo", "UnitRecord",
]  # fmt: skip
