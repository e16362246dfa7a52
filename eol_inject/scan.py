"""What a scanner says: cut into readings, stripped of its wrapping, and told apart when misread.

Scanners put an AIM identifier (``]Q1``), STX and ETX around a code and end it with CR, LF, both,
Tab or nothing. As keyboards they type through the computer's layout: a German one turns ``_``
into ``?`` and swaps ``y`` and ``z``. Readings are compared exactly; layouts only explain why one
did not match (reference, labels: scan-back).
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from eol_inject.errors import StationError, UsageError
from eol_inject.unit import AuthToken, ClaimCode

if TYPE_CHECKING:
    import serial

IDLE_S: Final = 0.12
"""A scanner that sends no suffix is done when nothing came for so long."""
LONGEST: Final = 512
"""Characters of one reading; more is noise on the line."""

_ENDS: Final = re.compile(r"[\r\n\t\x03]+")
_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")


class Misread(StrEnum):
    """What went wrong where a reading is not a claim code."""

    CAPS_LOCK = "caps_lock"
    LAYOUT = "layout"
    CUT_SHORT = "cut_short"
    AUTH_TOKEN = "auth_token"  # noqa: S105  # the name of a mistake, not a password
    NO_CLAIM_CODE = "no_claim_code"


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading. ``symbology`` is the AIM identifier, empty where the scanner sends none.

    The text may be a claim code or a secret somebody scanned by mistake, so it is never shown.
    """

    text: str = field(repr=False)
    symbology: str = ""

    @property
    def claim(self) -> ClaimCode | None:
        """The claim code, or None where the text is anything else."""
        try:
            return ClaimCode.parse(self.text)
        except UsageError:
            return None


def unwrap(raw: str) -> Reading:
    """A reading without STX, ETX, suffix and AIM identifier; spaces inside stay."""
    text = raw.strip("\x02\x03\r\n\t\0")
    symbology = ""
    found = _AIM.match(text)
    if found:
        symbology = found[0]
        text = text[found.end() :]
    return Reading(text, symbology)


class Splitter:
    """Cuts a stream of characters into readings. ``clock`` in seconds, any origin."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text = ""
        self._last = 0.0

    @property
    def pending(self) -> bool:
        """Whether a reading has begun and not ended."""
        return bool(self._text)

    def feed(self, text: str) -> list[Reading]:
        """The readings that are complete now; an over-long one is dropped as noise."""
        ended = self.idle()
        self._last = self._clock()
        *whole, rest = _ENDS.split(self._text + text)
        self._text = rest if len(rest) <= LONGEST else ""
        return ended + [
            unwrap(raw) for raw in whole if raw.strip("\x02 \0") and len(raw) <= LONGEST
        ]

    def idle(self) -> list[Reading]:
        """The reading that ended by silence, if one did."""
        if not self._text or self._clock() - self._last < IDLE_S:
            return []
        raw, self._text = self._text, ""
        return [unwrap(raw)] if raw.strip("\x02 \0") else []


_US: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+"
LAYOUTS: Final = {
    "German": "abcdefghijklmnopqrstuvwxzyABCDEFGHIJKLMNOPQRSTUVWXZY0123456789ß?`",
    "French": "qbcdefghijkl,noparstuvzxywQBCDEFGHIJKL?NOPARSTUVZXYWà&é\"'(-è_ç)°+",
    "Spanish": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'?¿",
    "Italian": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'?^",
    "Nordic": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+?`",
}
"""Layout of the computer → what it makes of each key of ``_US`` that the scanner presses."""

_BACK: Final = {
    name: str.maketrans(dict(zip(typed, _US, strict=True))) for name, typed in LAYOUTS.items()
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a reading is no claim code; ``layouts`` are those that would explain it."""

    misread: Misread
    layouts: tuple[str, ...] = ()


def diagnose(reading: Reading, expected: ClaimCode | None = None) -> Diagnosis | None:
    """Why the reading is not a claim code, or None where it is one.

    With ``expected``, the code that should have been scanned, only a layout that explains exactly
    that code is named.
    """
    text = reading.text
    if reading.claim is not None:
        return None
    if _fits(text.swapcase(), expected):
        return Diagnosis(Misread.CAPS_LOCK)
    layouts = tuple(
        layout
        for layout, table in _BACK.items()
        if _fits(text.translate(table), expected)
        or _fits(text.swapcase().translate(table), expected)
    )
    if layouts:
        return Diagnosis(Misread.LAYOUT, layouts)
    if AuthToken.looks_like(text):
        return Diagnosis(Misread.AUTH_TOKEN)
    if text.startswith("sqr_"):
        return Diagnosis(Misread.CUT_SHORT)
    return Diagnosis(Misread.NO_CLAIM_CODE)


def _fits(text: str, expected: ClaimCode | None) -> bool:
    claim = Reading(text).claim
    return claim is not None and (expected is None or claim == expected)


class Scanner(Protocol):
    """Where readings come from."""

    def read(self, timeout_s: float) -> Reading | None:
        """The next reading, or None where nothing was scanned in time.

        Raises ``StationError("label.scanner_gone")``.
        """
        ...

    @property
    def can_look(self) -> bool:
        """Whether ``read(0)`` finds what was scanned; a keyboard has to be waited for."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will ever be scanned any more: its input came to an end."""
        ...

    def close(self) -> None:
        """Give the port back."""
        ...


class SerialScanner:
    """A scanner on a serial or USB-CDC port: no keyboard layout in between."""

    def __init__(
        self, url: str, port: "serial.Serial", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._port = port
        self._clock = clock
        self._splitter = Splitter(clock)
        self._readings: list[Reading] = []

    @property
    def can_look(self) -> bool:
        """What was scanned can be asked for without waiting."""
        return True

    @property
    def ended(self) -> bool:
        """A port has no end: it is there, or ``read`` raises."""
        return False

    def read(self, timeout_s: float) -> Reading | None:
        """See ``Scanner``."""
        deadline = self._clock() + timeout_s
        while not self._readings:
            data = self._receive()  # once at least: what waits in the port counts, and its absence
            self._readings += self._splitter.feed(data) if data else self._splitter.idle()
            # what has begun is waited for: at the next look its rest would be another reading
            begun = self._splitter.pending
            if not (self._readings or begun) and self._clock() >= deadline:
                return None
        return self._readings.pop(0)

    def close(self) -> None:
        """See ``Scanner``."""
        self._port.close()

    def _receive(self) -> str:
        import serial

        try:
            data: bytes = self._port.read(max(1, self._port.in_waiting))
        except (serial.SerialException, OSError) as error:
            raise StationError("label.scanner_gone", scanner=self._url, why=str(error)) from error
        return data.decode("utf-8", "replace")


def open_scanner(url: str, *, baud: int = 9600) -> SerialScanner:
    """A scanner by pyserial URL or port name, such as ``/dev/ttyACM0`` or ``COM7``.

    What was scanned before is thrown away. Raises ``StationError("label.scanner_gone")``.
    """
    import serial

    try:
        port = serial.serial_for_url(url, baudrate=baud, timeout=0.05)
        with suppress(NotImplementedError):
            port.reset_input_buffer()
    except (serial.SerialException, OSError, ValueError) as error:
        raise StationError("label.scanner_gone", scanner=url, why=str(error)) from error
    return SerialScanner(url, port)
