"""How a product's token gets into a unit, and how it is known what the unit holds.

The cycle is the same for every product; what differs stands behind this: flash written over the
chip's boot loader, an external programmer, the console of a running firmware. A way is chosen once
for a run (``open_bench``); it takes one unit after another in hand.
"""

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from eol_inject.device import Identity, Rates, Watch
from eol_inject.events import ByteProgress
from eol_inject.ledger import Cycle, Reserved, Standing
from eol_inject.station.resume import Next
from eol_inject.station.teller import Teller
from eol_inject.unit import AuthToken, Proof
from eol_inject.verify import Findings

AskSerial = Callable[[re.Pattern[str]], str]
"""Asks the person at the slot to scan the unit's serial number, which matches all of the pattern.

Raises ``StationError("station.no_serial")`` where nobody does.
"""

KeepLease = Callable[[], None]
"""A sign of life for the ledger, to be given whenever something is waited for: a lease lasts 90 s.

Raises ``StationError("ledger.lease_lost")`` where another station has taken the unit over.
"""


def nobody_waits() -> None:
    """Of a unit without a lease: it is only looked at."""


class AtHand(Protocol):
    """The unit behind one port, for one cycle; a context manager that lets the port go.

    Called in the order of the cycle's steps, by one thread. Every method may raise ``UnitError``
    and ``StationError``.
    """

    def identify(self) -> Identity:
        """Who is on the port, asked anew each time; another one than before is
        ``device.unit_changed``."""
        ...

    def admit(self) -> None:
        """Raise where this way cannot work on this unit, by what identifying it told."""
        ...

    def inspect(self, standing: Standing) -> Findings:
        """What the unit holds, without what the profile lets this way erase.

        ``standing``: how the ledger sees this unit, with the token it must have.
        """
        ...

    def ready(self, state: str, going_on: Next) -> None:
        """The last look before anything is reserved: could this unit take a token?

        ``state`` is that of the unit's assignment, empty where it has none.
        """
        ...

    def patch(self, reserved: Reserved) -> None:
        """Make what this unit gets; nothing leaves the station yet."""
        ...

    def write(self, cycle: Cycle, teller: Teller, progress: ByteProgress) -> None:
        """Put it into the unit. ``UnitError("device.md5_mismatch")`` where the unit is to blame for
        holding something else."""
        ...

    def settle(self, cycle: Cycle, teller: Teller) -> None:
        """The token stands in the unit already: take away what would beat it."""
        ...

    def read_back(self) -> tuple[AuthToken, Proof]:
        """The token that the unit will use, and how that is known."""
        ...

    def boot_check(self, keep: Callable[[str], None]) -> None:
        """Whether the unit's own firmware starts, where the profile asks for it.

        ``keep`` is given what its console said, tokens hidden.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Way(Protocol):
    """What a run does with each of its units. Nothing in it changes during a run."""

    @property
    def image_sha256(self) -> str:
        """Of the golden image's file; empty where nothing is flashed."""
        ...

    @property
    def firmware_name(self) -> str:
        """Type and version as the image says them; empty where nothing is flashed."""
        ...

    @property
    def tools(self) -> Mapping[str, str]:
        """External programs that do the work, with their versions, for the records."""
        ...

    def open(self, port: str, rates: Rates, ask: AskSerial, keep: KeepLease) -> AtHand:
        """Take the unit behind ``port`` in hand, at ``rates`` or slower; nothing is said to it yet.

        A console and a programmer have a rate of their own, and leave ``rates`` alone. ``ask``
        counts where the unit cannot say who it is, ``keep`` where it may need longer than a lease
        lasts without moving a byte of ours.
        """
        ...

    def watch(self, port: str) -> Watch:
        """Asks again and again whether a unit on ``port`` answers, as gently as this way can."""
        ...
