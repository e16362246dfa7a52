"""Is a unit in the slot? Debounced looks, and never one at a unit under work.

A verdict is held until the unit that got it has left: what goes before has left, then the next one
may come (line-failures 17).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, assert_never

import eol_inject.device.ports
from eol_inject.device import Watch
from eol_inject.device.inventory import Seen, Where, port_at
from eol_inject.device.spec import PresenceSpec
from eol_inject.errors import EolError


class Look(Protocol):
    """One look: is something there?"""

    def __call__(self) -> bool: ...

    def close(self) -> None:
        """Let go of what was held between two looks: the port is somebody else's now."""


class Change(StrEnum):
    """What a steady look told anew."""

    CAME = "came"
    LEFT = "left"


class Gate:
    """Turns looks into changes: a look counts once it has been the same for ``debounce_s``."""

    def __init__(self, debounce_s: float, *, there: bool = False) -> None:
        self._debounce_s = debounce_s
        self.there = there
        """What is held to be so."""
        self._other_since: float | None = None

    def look(self, there: bool, now: float) -> Change | None:
        """A look at ``now`` seconds: what changed by it, if anything."""
        if there == self.there:
            self._other_since = None
            return None
        if self._other_since is None:
            self._other_since = now
        if now - self._other_since < self._debounce_s:
            return None
        self.there = there
        self._other_since = None
        return Change.CAME if there else Change.LEFT


@dataclass(frozen=True, slots=True)
class Slot:
    """One position of the station."""

    name: str
    where: Where

    def port(self, ports: Sequence[Seen]) -> str | None:
        """Its port now; None where nothing is there. Raises as ``port_at`` does."""
        return port_at(self.where, ports)


_LINES: Final = {"cts": "cts", "dsr": "dsr", "dcd": "cd"}
"""The fixture's switch → pyserial's name of the line."""


def looker(
    slot: Slot,
    spec: PresenceSpec,
    *,
    ports: Callable[[], Sequence[Seen]],
    watch: Callable[[str], Watch],
) -> Look:
    """How to look into ``slot``; ``watch`` asks the unit on a port whether it is there."""

    def port() -> str | None:
        try:
            return slot.port(ports())
        except EolError:
            return None  # two ports in one place are no unit; a cycle would say which

    def by_port() -> bool:
        found = port()
        return found is not None and _opens(found)

    def by_line() -> bool:
        found = port()
        return found is not None and _line_is_up(found, _LINES[spec.kind])

    match spec.kind:
        case "usb":
            return _Glance(by_port)
        case "cts" | "dsr" | "dcd":
            return _Glance(by_line)
        case "poll":
            return _Poll(port, watch)
        case "enter" | "scan":
            return _Glance(lambda: True)
        case other:
            assert_never(other)


@dataclass(frozen=True, slots=True)
class _Glance:
    """A look that touches no unit and holds nothing."""

    glance: Callable[[], bool]

    def __call__(self) -> bool:
        return self.glance()

    def close(self) -> None:
        """Nothing to let go of."""


class _Poll:
    """Asks the unit itself, on whatever port the slot has now."""

    def __init__(self, port: Callable[[], str | None], watch: Callable[[str], Watch]) -> None:
        self._port = port
        self._watch = watch
        self._found: str | None = None
        self._watching: Watch | None = None

    def __call__(self) -> bool:
        found = self._port()
        if found != self._found:
            self.close()
        if found is None:
            return False
        if self._watching is None:
            self._found, self._watching = found, self._watch(found)
        return self._watching.look()

    def close(self) -> None:
        """Let the port go."""
        if self._watching is not None:
            self._watching.close()
        self._found = self._watching = None


def _opens(port: str) -> bool:
    """A listed port is there; what has a URL has to be asked."""
    if "://" not in port:
        return True
    return _line_is_up(port, None)


def _line_is_up(port: str, line: str | None) -> bool:
    try:
        opened = eol_inject.device.ports.open_quiet(port)
    except EolError:
        return False
    with opened:
        try:
            return line is None or bool(getattr(opened, line))
        except OSError:
            return False  # gone between two looks, or a port that has no such line
