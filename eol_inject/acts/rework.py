"""Rework of one unit at the desk: the act, and how the unit stands afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from eol_inject.ledger import Act, Ledger
from eol_inject.ledger.desk import Desk
from eol_inject.ledger.people import Person
from eol_inject.unit import ClaimCode, Identifier

Which = Identifier | ClaimCode


@dataclass(frozen=True, slots=True)
class Reworked:
    """What was done, and how the unit stands now."""

    unit: str
    act: str
    state: str
    """Of the unit's last token; empty where it never had one."""
    hold: str
    label: str
    todos: int
    """What the cloud has to be told about all units, counted."""
    advice: str
    """What happens next, one sentence."""


_ADVICE: Final = {
    Act.RELEASE: "Another unit may get it.",
    Act.QUARANTINE: "It is refused until somebody clears it.",
    Act.CLEAR: "Run the unit again: it goes on with its own token.",
    Act.REINJECT: "Take its label off and run it again: the same token, a new label.",
    Act.REPLACE: "Take its label off and run it again: it gets a new token and label.",
    Act.SCRAP: "Take its label off and destroy it.",
}


def _act(act: Act, do: Callable[[Desk, Which, str], None]) -> Callable[..., Reworked]:
    def run(ledger: Ledger, by: Person, which: Which, reason: str) -> Reworked:
        # A scanned label named it; from here on the unit itself is meant, not that label's token.
        unit = ledger.show(which).unit.primary
        do(ledger.desk(by), unit, reason)
        now = ledger.show(unit)
        last = now.assignments[-1] if now.assignments else None
        return Reworked(
            unit=unit.value,
            act=act.value,
            state=last.state.value if last else "",
            hold=now.hold.value,
            label=last.label.value if last else "",
            todos=len(ledger.todos()),
            advice=_ADVICE[act],
        )

    return run


ACTS: Final[Mapping[str, Callable[[Ledger, Person, Which, str], Reworked]]] = MappingProxyType(
    {
        "release": _act(Act.RELEASE, lambda desk, unit, why: desk.release(unit, reason=why)),
        "quarantine": _act(
            Act.QUARANTINE, lambda desk, unit, why: desk.quarantine(unit, reason=why)
        ),
        "clear": _act(Act.CLEAR, lambda desk, unit, why: desk.clear(unit, reason=why)),
        "reinject": _act(Act.REINJECT, lambda desk, unit, why: desk.reinject(unit, reason=why)),
        "replace": _act(Act.REPLACE, lambda desk, unit, why: desk.replace(unit, reason=why)),
        "scrap": _act(Act.SCRAP, lambda desk, unit, why: desk.scrap(unit, reason=why)),
    }
)
"""What ``eol-inject unit`` offers, by name. Each raises what the desk's verb raises."""
