"""The baud rate that a slot is known to bear: down at once where bytes were damaged, slowly up.

A worn cable or a hub that sags fails at the same rate with every unit; finding that out anew costs
each of them seconds (line-failures 13). Kept for one run.
"""

from dataclasses import dataclass
from typing import Final

LADDER: Final = (115200, 230400, 460800, 921600)
"""Rates between the safest and the profile's own."""

GOOD: Final = 10
"""Units in a row that have to pass at a rate before the next higher one is tried."""


@dataclass(frozen=True, slots=True)
class _Known:
    baud: int
    good: int = 0


class Pace:
    """What each slot bears. Each slot asks and tells in its own thread, about itself only."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._known: dict[str, _Known] = {}

    def of(self, slot: str) -> int:
        """The rate to begin with."""
        known = self._known.get(slot)
        return self._top if known is None else known.baud

    def learn(self, slot: str, reached: int, *, passed: bool) -> None:
        """A cycle ended, with transfers at ``reached``."""
        begun = self.of(slot)
        if reached < begun:
            self._known[slot] = _Known(reached)
            return
        known = self._known.get(slot)
        if known is None or not passed:
            return
        if known.good + 1 < GOOD:
            self._known[slot] = _Known(known.baud, known.good + 1)
            return
        higher = min((rate for rate in (*LADDER, self._top) if rate > begun), default=self._top)
        if higher >= self._top:
            del self._known[slot]
        else:
            self._known[slot] = _Known(higher)
