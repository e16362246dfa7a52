"""A unit on a port: who it is, what its flash holds, writing it, starting it.

``open_device(url, spec)`` is the way in; the rest of the package is private to it. Importing this
loads neither esptool nor pyserial.
"""

import importlib
import time
from collections.abc import Callable, Container, Sequence
from types import TracebackType
from typing import Final, Protocol, Self, cast

from eol_inject.device.identity import Identity, Rates, Security
from eol_inject.device.spec import DeviceSpec
from eol_inject.events import ByteProgress
from eol_inject.unit import Unit

__all__ = [
    "DRIVERS",
    "Device",
    "Identity",
    "Rates",
    "Security",
    "Watch",
    "open_device",
    "watch_loader",
]


class Device(Protocol):
    """One session with the unit on a port; a context manager.

    Every method may raise ``StationError`` (the port, the wire, the deadline: the unit is not
    judged) and ``UnitError`` (the unit is bad, or must not be written); codes ``device.*`` in
    ``texts/``. A session belongs to one thread.
    """

    def identify(self) -> Identity:
        """Who is on the port, asked anew each time.

        Once a session has an identity, another one is ``device.unit_changed``. Reads the
        protections before anything is sent to the chip but questions; does not refuse them, apart
        from Secure Download Mode, which hides the identity. Everything below refuses them all.
        """
        ...

    def read(self, address: int, size: int, progress: ByteProgress | None = None) -> bytes:
        """``size`` bytes of flash from ``address``, over the wire."""
        ...

    def md5(self, address: int, size: int) -> str:
        """MD5 that the chip makes of its own flash: 32 hex digits, lower case."""
        ...

    def write(
        self,
        unit: Unit,
        blocks: Sequence[tuple[int, bytes]],
        progress: ByteProgress | None = None,
        *,
        common: Container[int] = frozenset(),
    ) -> None:
        """Write whole 4 KiB sectors at their flash addresses, in any order, none overlapping.

        ``common``: addresses of the blocks that every unit gets alike, without a secret; what was
        made of them for one unit may be kept for the next.

        The identity is read again before the first byte and after the last: ``unit_changed``
        (``StationError``) unless it is ``unit``. Each run of neighbouring sectors is hashed by the
        chip and compared: ``md5_mismatch`` (``UnitError``) with the address. Never retried.
        """
        ...

    def erase(self, unit: Unit, address: int, size: int) -> None:
        """Whole sectors to FF, under the same rules as ``write``."""
        ...

    def boot(
        self, *, listen_s: float, baud: int, until: Callable[[str], bool] | None = None
    ) -> str:
        """Restart into the application and return its console text, tokens hidden.

        Ends after ``listen_s`` seconds or when ``until``, given all text so far, says so. An empty
        text means that the restart is not proved. The next call begins with a reset.
        """
        ...

    def close(self) -> None:
        """Leave the unit running its application, and let the port go."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Watch(Protocol):
    """Whether a unit is on one port, asked again and again while nothing else is done there."""

    def look(self) -> bool:
        """Whether one is there now; what it is, and whether it is good, is not judged."""
        ...

    def close(self) -> None:
        """Let the port go; a unit that is there is left running its application."""
        ...


class _Opener(Protocol):
    def __call__(
        self,
        url: str,
        spec: DeviceSpec,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        log: Callable[[str], None] | None,
        aborted: Callable[[], bool],
        waiting: Callable[[], None],
    ) -> Device: ...


DRIVERS: Final = {"esptool": "eol_inject.device.esp:open_esp"}
"""Ways to talk to a unit, by name; loaded when first used. More wire protocols join here."""


def open_device(
    url: str,
    spec: DeviceSpec,
    *,
    driver: str = "esptool",
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    log: Callable[[str], None] | None = None,
    aborted: Callable[[], bool] = lambda: False,
    waiting: Callable[[], None] = lambda: None,
) -> Device:
    """Open the port ``url`` for one session; nothing is said to the unit yet.

    ``spec.deadline_s`` counts from here. ``log`` takes short public lines: never data, never a
    token. ``aborted`` is asked before bytes move: a yes closes the port. ``waiting``
    is called there too, and while the unit is listened to; what it raises ends the call under way.
    Raises ``UsageError`` (``device.unknown_scheme``, ``device.bad_url``) and
    ``StationError`` (``device.port_missing``, ``port_busy``, ``port_denied``, ``port_failed``).
    """
    module, _, name = DRIVERS[driver].partition(":")
    opener = cast("_Opener", getattr(importlib.import_module(module), name))
    return opener(url, spec, sleep=sleep, clock=clock, log=log, aborted=aborted, waiting=waiting)


def watch_loader(
    url: str,
    spec: DeviceSpec,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Watch:
    """Watch the port ``url`` for a chip; the first look at one resets it, the next ones do not."""
    from eol_inject.device.esp_watch import EspWatch

    return EspWatch(url, spec, sleep=sleep, clock=clock)
