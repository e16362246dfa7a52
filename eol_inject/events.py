"""What the cycle tells: frozen events for observers, questions for the operator.

Nothing below ``cli/`` prints. A slot numbers its own events from 1 without a gap, so an observer
can tell that it missed one. No event carries a secret or a whole claim code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from eol_inject.errors import Exit


class Stage(StrEnum):
    """The seven stages, in order; also module, log field, JSON key and test folder."""

    TOKENS = "tokens"
    LEDGER = "ledger"
    IMAGE = "image"
    DEVICE = "device"
    VERIFY = "verify"
    LABEL = "label"
    REPORT = "report"


class Step(StrEnum):
    """The way of a unit, in order (DESIGN: identify ─► … ─► close)."""

    IDENTIFY = "identify"
    INSPECT = "inspect"
    RESERVE = "reserve"
    PATCH = "patch"
    WRITE = "write"
    READ_BACK = "read_back"
    BOOT_CHECK = "boot_check"
    IDENTIFY_AGAIN = "identify_again"
    RENDER = "render"
    PRINT = "print"
    SCAN = "scan"
    CLOSE = "close"


class Outcome(StrEnum):
    """How an attempt ended; one to one with the exit codes."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    UNIT_BAD = "unit_bad"
    STATION_BAD = "station_bad"
    RECORD_MISSING = "record_missing"
    USAGE = "usage"
    INTERRUPTED = "interrupted"

    @property
    def exit(self) -> Exit:
        """The exit code that says the same."""
        return _EXITS[self]

    @classmethod
    def of(cls, code: Exit) -> "Outcome":
        """The outcome of an error's exit code."""
        return _OUTCOMES[code]


_EXITS = {
    Outcome.PASS: Exit.PASS,
    Outcome.UNIT_BAD: Exit.UNIT_BAD,
    Outcome.STATION_BAD: Exit.STATION_BAD,
    Outcome.RECORD_MISSING: Exit.RECORD_MISSING,
    Outcome.USAGE: Exit.USAGE,
    Outcome.INTERRUPTED: Exit.INTERRUPTED,
}
_OUTCOMES = {code: outcome for outcome, code in _EXITS.items()}


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of the cycle begins."""

    seq: int
    slot: str
    step: Step


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step ended well after ``seconds``; ``note`` is one public phrase, or empty."""

    seq: int
    slot: str
    step: Step
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` bytes of the step under way."""

    seq: int
    slot: str
    step: Step
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the operator should know that stops nothing; ``code`` is in ``texts/``."""

    seq: int
    slot: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class UnitKnown:
    """The identity of the unit in the slot was read."""

    seq: int
    slot: str
    unit: str
    chip: str


@dataclass(frozen=True, slots=True)
class CycleEnded:
    """The verdict; ``code``, ``text`` and ``hint`` are the error's, empty on a pass."""

    seq: int
    slot: str
    unit: str
    outcome: Outcome
    seconds: float
    code: str = ""
    text: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The slot waits for a person; ``what`` is the label or unit the question is about."""

    seq: int
    slot: str
    question: "Question"
    what: str


Event = StepStarted | StepDone | Progress | Notice | UnitKnown | CycleEnded | Waiting

Observer = Callable[[Event], None]
"""Takes each event as it happens, in the slot's thread; must be quick and must not raise."""

ByteProgress = Callable[[int, int], None]
"""``(done, total)`` in bytes: what the device reports while it reads or writes."""


class Question(StrEnum):
    """What only a person can answer or do."""

    HOLD_BOOT = "hold_boot"
    SCAN_SERIAL = "scan_serial"
    SCAN_BOARD = "scan_board"
    SCAN_LABEL = "scan_label"
    SCAN_LABEL_ID = "scan_label_id"
    LABEL_PRINTED = "label_printed"
    DELETE_SOURCE = "delete_source"


class Nobody:
    """An ``Operator`` for where nobody can be asked."""

    def ask(self, question: Question, **facts: str) -> str | None:
        """No answer."""
        return None


class Operator(Protocol):
    """The person at the station, or a script standing in for one."""

    def ask(self, question: Question, **facts: str) -> str | None:
        """The answer as text; None when nobody answers (not interactive, or given up)."""
        ...
