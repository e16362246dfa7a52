"""The states of one physical label, and the one table of what may follow what.

``MOVES`` fills the trigger that guards the ``label`` table, so the database refuses what is not
written here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

UNIT: Final = "unit"
"""The kind of the label on the unit itself; a profile may require others, such as ``box``."""


class CopyState(StrEnum):
    """Where one physical label stands."""

    INTENT = "intent"
    """On record, before its first byte went to a printer."""
    SENT = "sent"
    """It stands on a sheet that was written; nobody has seen it on paper."""
    CONFIRMED = "confirmed"
    """It came out: the printer said so, a file was written, or a person saw it."""
    UNKNOWN = "unknown"
    """It may have come out. Nothing prints it again by itself."""
    APPLIED = "applied"
    """Scanned as the label of its own unit."""
    VOID = "void"
    """It never came out, or does not count any more, wherever it may be stuck."""


MOVES: Final = frozenset(
    {
        (CopyState.INTENT, CopyState.SENT),
        (CopyState.INTENT, CopyState.CONFIRMED),
        (CopyState.INTENT, CopyState.UNKNOWN),
        (CopyState.SENT, CopyState.CONFIRMED),
        (CopyState.SENT, CopyState.UNKNOWN),
        (CopyState.SENT, CopyState.APPLIED),
        (CopyState.UNKNOWN, CopyState.CONFIRMED),
        (CopyState.CONFIRMED, CopyState.APPLIED),
        *((state, CopyState.VOID) for state in CopyState if state is not CopyState.VOID),
    }
)
"""Every legal move: what may not be there cannot be scanned, and a void one stays void."""


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """One physical label. Public facts only: the claim code is the same on every copy."""

    code: str
    """Its short id, printed on it; unique in the ledger."""
    copy: int
    """Counted from 1 over the labels of one kind of one token."""
    kind: str
    state: CopyState
    came_out: bool
    """Whether it is, or may be, somewhere in the world."""
    unit: str
    """The unit's primary identifier."""
    role: str
    assignment: int
    printer: str
    template: str
    template_digest: str
    bitmap_digest: str
    facts: str
    """What the label says besides, such as its date: to draw the same one again."""
    batch: str
    """Of a sheet; empty for a single label."""
    reason: str
    operator: str
    station: str
    attempt: str
    made_at: str
    changed_at: str

    @property
    def name(self) -> str:
        """As the label says it: id and copy."""
        return f"{self.code}-{self.copy}"


@dataclass(frozen=True, slots=True)
class Draft:
    """A label that is to be drawn: its id has to stand on it before it can be on record."""

    code: str
    copy: int
    kind: str
