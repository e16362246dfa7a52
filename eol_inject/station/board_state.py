"""Events → what a board shows: a pure reducer, the same for the terminal and for a page."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import assert_never

from eol_inject.errors import Exit
from eol_inject.events import (
    CycleEnded,
    Event,
    Notice,
    Outcome,
    Progress,
    Question,
    Step,
    StepDone,
    StepStarted,
    UnitKnown,
    Waiting,
)

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot. The verdict stays until the next cycle begins there (line-failures 17)."""

    name: str
    unit: str = ""
    step: Step | None = None
    done: int = 0
    total: int = 0
    """Bytes of the step under way; 0 where it has none."""
    outcome: Outcome | None = None
    code: str = ""
    text: str = ""
    hint: str = ""
    question: Question | None = None
    what: str = ""
    """What the question is about."""
    note: str = ""
    seconds: float = 0.0
    seq: int = 0
    """Of the last event; a gap means that one was missed."""

    @property
    def finished_before(self) -> bool:
        """It was done already: neither passed nor failed now."""
        return self.code == "ledger.unit_closed"


@dataclass(frozen=True, slots=True)
class StationState:
    """All slots, and the counts since the run began."""

    slots: Mapping[str, SlotState] = field(default_factory=lambda: MappingProxyType({}))
    passed: int = 0
    failed: int = 0
    """Units that were judged bad."""
    stopped: int = 0
    """Attempts that judged no unit, or left one without its label."""
    began_at: float | None = None
    now: float = 0.0

    @property
    def yield_(self) -> float | None:
        """Share of the judged units that passed; None before the first."""
        judged = self.passed + self.failed
        return self.passed / judged if judged else None

    @property
    def per_hour(self) -> float | None:
        """Units that passed, an hour, since the first event; None before a minute is over."""
        spent = 0.0 if self.began_at is None else self.now - self.began_at
        return self.passed * _HOUR_S / spent if spent >= 60 else None  # noqa: PLR2004  # a minute


def start(names: tuple[str, ...]) -> StationState:
    """A station whose slots have done nothing yet."""
    return StationState(MappingProxyType({name: SlotState(name) for name in names}))


def reduce(state: StationState, event: Event, now: float) -> StationState:
    """The state after ``event``, which came at ``now`` seconds."""
    before = state.slots.get(event.slot, SlotState(event.slot))
    slot = replace(_slot(before, event), seq=event.seq)
    state = replace(
        state,
        slots=MappingProxyType({**state.slots, event.slot: slot}),
        began_at=now if state.began_at is None else state.began_at,
        now=now,
    )
    return _counted(state, event) if isinstance(event, CycleEnded) else state


def _slot(slot: SlotState, event: Event) -> SlotState:
    match event:
        case StepStarted(step=step):
            begun = SlotState(slot.name) if step is Step.IDENTIFY else slot
            return replace(begun, step=step, done=0, total=0, question=None)
        case StepDone():
            return replace(slot, done=0, total=0, question=None)
        case Progress(done=done, total=total):
            return replace(slot, done=done, total=total)
        case UnitKnown(unit=unit):
            return replace(slot, unit=unit)
        case Notice(text=text):
            return replace(slot, note=text)
        case Waiting(question=question, what=what):
            return replace(slot, question=question, what=what)
        case CycleEnded():
            return replace(
                slot,
                unit=event.unit or slot.unit,
                step=None,
                done=0,
                total=0,
                question=None,
                outcome=event.outcome,
                code=event.code,
                text=event.text,
                hint=event.hint,
                seconds=event.seconds,
            )
        case other:
            assert_never(other)


def _counted(state: StationState, event: CycleEnded) -> StationState:
    match event.outcome.exit:
        case Exit.PASS:
            return replace(state, passed=state.passed + 1)
        case Exit.UNIT_BAD if event.code == "ledger.unit_closed":
            return state
        case Exit.UNIT_BAD:
            return replace(state, failed=state.failed + 1)
        case _:
            return replace(state, stopped=state.stopped + 1)
