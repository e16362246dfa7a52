"""What every row must say, as the log tells it: one pass over all events, in their order.

Rows that change are followed from event to event; rows that are written once have their digest in
the event that tells of them. ``audit`` holds the tables against the result.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from eol_inject.errors import Param
from eol_inject.ledger.label_states import CopyState
from eol_inject.ledger.marks import FACT
from eol_inject.ledger.model import LabelState
from eol_inject.ledger.schema import Found
from eol_inject.ledger.transitions import Act, State, transition
from eol_inject.unit import SELF_ROLE

_VOIDS: Final = {Act.QUARANTINE, Act.REINJECT, Act.REPLACE, Act.SCRAP}
"""Acts after which no label of the assignment counts."""

_CAME_OUT: Final = {CopyState.SENT, CopyState.CONFIRMED, CopyState.UNKNOWN, CopyState.APPLIED}
_NONE: Final[Mapping[str, Any]] = {}


@dataclass(slots=True)
class Moved:
    """An assignment: what it is about, and where its events left it."""

    token: int | None
    unit: int | None
    role: str
    state: str = State.AVAILABLE
    source: str = ""
    act: str = ""
    proof: str = ""
    label: str = LabelState.NONE


@dataclass(slots=True)
class Copy:
    """A label."""

    row: str
    """Digest of what never changes."""
    assignment: int | None
    state: str
    reason: str
    came_out: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """A to-do; the last two are None while it is open."""

    token: int | None
    act: str
    why: str
    opened_by: str
    closed_by: str | None = None
    closed_how: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody with a role."""

    role: str
    pin: str
    """Digest of the stored hash."""
    badge: str
    gone: bool = False


@dataclass(slots=True)
class Told:
    """Grows event by event."""

    assignments: dict[int, Moved] = field(default_factory=dict)
    identifiers: dict[tuple[str, str], tuple[int | None, int]] = field(default_factory=dict)
    """(kind, value) → unit, and whether it is its primary one."""
    units: set[int | None] = field(default_factory=set)
    holds: dict[int | None, tuple[str, str]] = field(default_factory=dict)
    attempts: dict[str, str] = field(default_factory=dict)
    """Id → digest of the whole row."""
    copies: dict[str, Copy] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    people: dict[str, Known] = field(default_factory=dict)
    sources: list[Mapping[str, Any]] = field(default_factory=list)
    revoked: set[int | None] = field(default_factory=set)
    rebound: list[tuple[str, str]] = field(default_factory=list)
    """Bindings that were moved, (was, is), as ``kind:value``."""
    marks: str = ""
    """Digest of what says which ledger this is, and who has to speak."""
    founded: Mapping[str, Any] = field(default_factory=dict)
    labels_of: dict[int | None, list[str]] = field(default_factory=dict)
    """Assignment → ids of its labels."""
    _tells: Mapping[str, Callable[[Found, Mapping[str, Any]], None]] = field(init=False)
    """Event by act → what it says about rows; what moves an assignment is ``_move``'s."""

    def __post_init__(self) -> None:
        self._tells = {
            "founded": self._found,
            "import": self._import,
            "identified": self._identify,
            "rebind": self._rebind,
            "attempt_begun": self._attempt,
            "attempt": self._attempt,
            "label_sent": self._sent,
            Act.REVOKE: self._revoke,
            "todo": self._ask,
            "todo_done": self._done,
            "replay": self._replay,
            "person": self._name,
            "person_gone": self._leave,
        }

    def take(self, row: Found) -> str | None:
        """One more event. What is impossible about it, or None."""
        facts: Mapping[str, Any] = _NONE if row.facts == "{}" else _facts(row.facts)
        wrong = self._move(row, facts) if row.to_state is not None else None
        tells = self._tells.get(row.act)
        if tells is not None:
            tells(row, facts)
        if row.act.startswith("label_"):
            self._label(row, facts)
        self.marks = str(facts.get(FACT, self.marks))
        if "hold" in facts:
            why = str(facts.get("why") or row.reason)
            self.holds[row.unit] = (facts["hold"], why if facts["hold"] else "")
        return wrong

    def _move(self, row: Found, facts: Mapping[str, Any]) -> str | None:
        if row.assignment is None:
            return None
        known = self.assignments.get(row.assignment)
        if known is None:
            known = Moved(row.token, row.unit, str(facts.get("role", SELF_ROLE)))
            self.assignments[row.assignment] = known
        step = transition(State(row.from_state), row.act)
        wrong = None
        if row.from_state != known.state or step is None or step.target != row.to_state:
            wrong = (
                f"moves assignment {row.assignment} from {row.from_state} to {row.to_state} by "
                f"{row.act}, but it was {known.state}"
            )
        known.state, known.source, known.act = row.to_state, row.from_state, row.act
        match row.act:
            case Act.PROVE:
                known.proof = str(facts.get("proof", ""))
            case Act.LABEL:
                known.label = str(facts.get("outcome") or LabelState.PRINTED)
            case act if act in _VOIDS:
                self._void(row.assignment, known)
        return wrong

    def _void(self, number: int, known: Moved) -> None:
        if known.label != LabelState.NONE:
            known.label = LabelState.VOID
        for code in self.labels_of.get(number, ()):
            self.copies[code].state = CopyState.VOID

    def _found(self, row: Found, facts: Mapping[str, Any]) -> None:
        self.founded = facts

    def _import(self, row: Found, facts: Mapping[str, Any]) -> None:
        self.sources.append({**facts, "operator": row.operator})

    def _identify(self, row: Found, facts: Mapping[str, Any]) -> None:
        self.units.add(row.unit)
        self.identifiers[facts["kind"], facts["value"]] = (row.unit, facts["primary"])

    def _attempt(self, row: Found, facts: Mapping[str, Any]) -> None:
        self.attempts[row.attempt] = str(facts.get("row", ""))

    def _sent(self, row: Found, facts: Mapping[str, Any]) -> None:
        moved = self.assignments.get(row.assignment)
        if moved is not None and moved.label == LabelState.NONE and "label" not in facts:
            moved.label = LabelState.SENT

    def _revoke(self, row: Found, facts: Mapping[str, Any]) -> None:
        if facts.get("hold") is None:
            self.revoked.add(row.token)

    def _replay(self, row: Found, facts: Mapping[str, Any]) -> None:
        if facts.get("revoked"):
            self.revoked.add(row.token)

    def _ask(self, row: Found, facts: Mapping[str, Any]) -> None:
        self.tasks[facts["todo"]] = Task(row.token, facts["what"], facts["why"], row.operator)

    def _done(self, row: Found, facts: Mapping[str, Any]) -> None:
        for number in map(int, str(facts.get("todos", "")).split()):
            self.tasks[number] = replace(
                self.tasks[number], closed_by=row.operator, closed_how=row.reason
            )

    def _name(self, row: Found, facts: Mapping[str, Any]) -> None:
        pin, badge = str(facts.get("pin", "")), str(facts.get("badge", ""))
        self.people[facts["name"]] = Known(facts["role"], pin, badge)

    def _leave(self, row: Found, facts: Mapping[str, Any]) -> None:
        if facts["name"] in self.people:
            self.people[facts["name"]] = replace(self.people[facts["name"]], gone=True)

    def _rebind(self, row: Found, facts: Mapping[str, Any]) -> None:
        was, now = str(facts["was"]), str(facts["is"])
        kind, _, value = was.partition(":")
        if row.unit is None:
            self.rebound.append((was, now))
        elif (kind, value) in self.identifiers:
            self.identifiers[kind, value] = (row.unit, 0)

    def _label(self, row: Found, facts: Mapping[str, Any]) -> None:
        code = str(facts.get("label", ""))
        if row.act == "label_intent":
            self.copies[code] = Copy(facts["row"], row.assignment, facts["state"], row.reason)
            self.labels_of.setdefault(row.assignment, []).append(code)
        elif code in self.copies and "is" in facts:
            copy = self.copies[code]
            copy.state = facts["is"]
            copy.reason = row.reason or copy.reason
            if copy.state in _CAME_OUT:
                copy.came_out = 1
            if facts.get("nowhere"):
                copy.came_out = 0


def _facts(text: str) -> Mapping[str, Param]:
    found: Any = json.loads(text)
    return found if isinstance(found, dict) else {}
