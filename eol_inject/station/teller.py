"""Tells an observer what a slot does: numbers its events and times its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eol_inject.errors import EolError
from eol_inject.events import (
    CycleEnded,
    Notice,
    Observer,
    Outcome,
    Progress,
    Question,
    Step,
    StepDone,
    StepStarted,
    UnitKnown,
    Waiting,
)


class Teller:
    """One slot's voice during one cycle. ``clock`` counts seconds and never goes back."""

    def __init__(self, slot: str, observe: Observer, clock: Callable[[], float]) -> None:
        self.slot = slot
        self.steps: list[tuple[Step, float]] = []
        self.notes: list[str] = []
        self.at: Step | None = None
        """The step under way, or the last one that did not end well."""
        self._observe = observe
        self._clock = clock
        self._start = clock()
        self._seq = 0

    @property
    def seconds(self) -> float:
        """Since the cycle began."""
        return self._clock() - self._start

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """The body is this step of the cycle."""
        begun = self._clock()
        self.at = step
        self._observe(StepStarted(self._next(), self.slot, step))
        try:
            yield
        finally:
            seconds = self._clock() - begun
            self.steps.append((step, seconds))
        self._observe(StepDone(self._next(), self.slot, step, seconds))
        self.at = None

    def progress(self, done: int, total: int) -> None:
        """Bytes moved in the step under way."""
        if self.at is not None:
            self._observe(Progress(self._next(), self.slot, self.at, done, total))

    def unit(self, unit: str, chip: str) -> None:
        """The unit in the slot is known."""
        self._observe(UnitKnown(self._next(), self.slot, unit, chip))

    def note(self, code: str, text: str) -> None:
        """Something worth knowing that stops nothing."""
        self.notes.append(text)
        self._observe(Notice(self._next(), self.slot, code, text))

    def waiting(self, question: Question, what: str) -> None:
        """Nothing goes on before a person answers."""
        self._observe(Waiting(self._next(), self.slot, question, what))

    def ended(self, unit: str, outcome: Outcome, error: EolError | None) -> None:
        """The verdict."""
        told = (error.code, str(error), error.hint) if error else ("", "", "")
        self._observe(CycleEnded(self._next(), self.slot, unit, outcome, self.seconds, *told))

    def _next(self) -> int:
        self._seq += 1
        return self._seq
