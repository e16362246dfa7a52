"""The baud rates that a slot is known to bear: down at once where one failed, slowly up.

A worn cable or a hub that sags fails at the same rate with every unit; finding that out anew costs
each of them seconds (line-failures 13). Two rates are learnt apart: a loader may not hear a fast
first sync and take fast transfers all the same. Kept for one run.
"""

from dataclasses import dataclass
from typing import Final

from eol_inject.device import Rates

LADDER: Final = (115200, 230400, 460800, 921600)
"""Rates between the safest and the profile's own."""

GOOD: Final = 10
"""Units in a row that have to pass at a rate before the next higher one is tried."""


@dataclass(frozen=True, slots=True)
class _Known:
    baud: int
    good: int = 0

    def after(self, reached: int, top: int, *, passed: bool) -> "_Known":
        """What is known after a cycle that ended at ``reached``."""
        if reached < self.baud:
            return _Known(reached)
        if not passed or self.baud >= top:
            return self
        if self.good + 1 < GOOD:
            return _Known(self.baud, self.good + 1)
        return _Known(min((rate for rate in LADDER if self.baud < rate < top), default=top))


class Pace:
    """What each slot bears. Each slot asks and tells in its own thread, about itself only."""

    def __init__(self, top: Rates) -> None:
        self._top = top
        self._known: dict[str, tuple[_Known, _Known]] = {}

    def of(self, slot: str) -> Rates:
        """The rates to begin with."""
        sync, transfer = self._of(slot)
        return Rates(sync.baud, transfer.baud)

    def learn(self, slot: str, reached: Rates, *, passed: bool) -> None:
        """A cycle ended, with these rates."""
        sync, transfer = self._of(slot)
        slower = reached.sync < min(sync.baud, transfer.baud)  # no sync is faster than transfers
        self._known[slot] = (
            sync.after(reached.sync if slower else sync.baud, self._top.sync, passed=passed),
            transfer.after(reached.transfer, self._top.transfer, passed=passed),
        )

    def _of(self, slot: str) -> tuple[_Known, _Known]:
        return self._known.get(slot, (_Known(self._top.sync), _Known(self._top.transfer)))
