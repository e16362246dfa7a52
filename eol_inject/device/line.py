"""The port as esptool sees it: with an end in time, and without a way to reopen it unseen.

esptool may read a hundred packets of three seconds each for one command, and after an error in
the middle of a write it closes and reopens the port and goes on, whatever unit is there by then.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import serial

from eol_inject.errors import StationError, StoppedError

_BULK = 65536


class Line:
    """A pyserial port on a leash; everything not named here goes to the port itself.

    ``deadline`` is a reading of ``clock`` in seconds. When it has passed, the port is closed and
    the call under way raises ``StationError("device.deadline")``, which esptool does not catch.
    The check stands in every read and write, in the session's own thread: closing a descriptor
    under another thread's read could hand its number to another slot's port. ``waiting`` is called
    there too.
    """

    def __init__(
        self,
        port: serial.Serial,
        *,
        deadline: float,
        allowed_s: float,
        clock: Callable[[], float],
        coarse: bool = False,
        aborted: Callable[[], bool] = lambda: False,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._under = port
        self._deadline = deadline
        self._allowed_s = allowed_s
        self._clock = clock
        self._coarse = coarse
        self._aborted = aborted
        self._waiting = waiting
        self._timeout: float | None = port.timeout
        self._ahead = b""
        self._sealed = False
        self._console_baud: int | None = None

    # ── time ────────────────────────────────────────────────────────────────────────────────────

    def left(self) -> float:
        """Seconds to the deadline; closes the port and raises when there are none, or when
        somebody asked to stop at once."""
        self._waiting()
        if self._aborted():
            self._under.close()
            raise StoppedError("device.aborted")
        left = self._deadline - self._clock()
        if left <= 0:
            self._under.close()
            raise StationError("device.deadline", seconds=f"{self._allowed_s:g}")
        return left

    def allow(self, seconds: float) -> None:
        """A deadline anew, from now on."""
        self._deadline = self._clock() + seconds
        self._allowed_s = seconds

    @property
    def timeout(self) -> float | None:
        """Seconds a read may wait, as esptool set them."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def _arm(self) -> None:
        """Give the port the shorter of esptool's time limit and what is left."""
        left = self.left()
        wanted = left if self._timeout is None else min(self._timeout, left)
        if self._under.timeout != wanted:
            self._under.timeout = wanted

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes within the time limit; ``b""`` when none came."""
        self._arm()
        if not self._ahead:
            data = bytes(self._under.read(size))
            if not data:
                self.left()  # silence until the deadline is the deadline, not a silent chip
            return data
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def write(self, data: bytes) -> int | None:
        """Send ``data``."""
        self.left()
        return self._under.write(data)

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        self.left()
        if self._coarse and self._under.in_waiting:
            # pyserial's sockets only say whether there is anything, and byte by byte is slow
            self._under.timeout = 0
            self._ahead += self._under.read(_BULK)
        return len(self._ahead) if self._coarse else self._under.in_waiting

    def inWaiting(self) -> int:  # noqa: N802  # pyserial's old name, which esptool uses
        """``in_waiting``."""
        return self.in_waiting

    def reset_input_buffer(self) -> None:
        """Forget what came in."""
        self.left()
        self._ahead = b""
        self._under.reset_input_buffer()

    flushInput = reset_input_buffer  # noqa: N815  # pyserial's old name, which esptool uses

    # ── settings and lines ──────────────────────────────────────────────────────────────────────

    @property
    def baudrate(self) -> int:
        """Bits per second."""
        return self._under.baudrate

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        self._under.baudrate = baud

    @property
    def write_timeout(self) -> float | None:
        """Seconds a write may wait."""
        return self._under.write_timeout

    @write_timeout.setter
    def write_timeout(self, seconds: float | None) -> None:
        self._under.write_timeout = seconds

    def setRTS(self, active: bool) -> None:  # noqa: N802  # pyserial's old name
        """RTS holds the chip in reset while active (EN = not(RTS and not DTR))."""
        self._under.rts = active
        if active and self._console_baud is not None:
            # nobody talks while the chip is held in reset: no byte of its first words is lost
            self._under.baudrate = self._console_baud

    def setDTR(self, active: bool) -> None:  # noqa: N802  # pyserial's old name
        """DTR pulls the boot pin."""
        self._under.dtr = active

    @contextmanager
    def console_at(self, baud: int) -> Iterator[None]:
        """Within this, a reset also sets ``baud``, for the application's console."""
        self._console_baud = baud
        try:
            yield
        finally:
            self._console_baud = None
            self.baudrate = baud

    # ── open and closed ─────────────────────────────────────────────────────────────────────────

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """Within this, the port cannot be reopened: what hangs on it must stay the same unit."""
        self._sealed = True
        try:
            yield
        finally:
            self._sealed = False

    def open(self) -> None:
        """Open again after ``close``."""
        self.left()
        if self._sealed:
            raise serial.SerialException("the port was lost while this unit was written")
        self._ahead = b""
        self._under.open()

    def close(self) -> None:
        """Let the port go."""
        self._under.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._under, name)
