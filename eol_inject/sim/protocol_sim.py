"""The port: pyserial finds this module for ``sim://`` URLs and esptool drives what it opens.

The conditions under which the unmodified esptool 5.6 works with it stand in esp.md, "Remote and
virtual ports". What a real port would raise, this one raises: ``SerialException`` with ``ENOENT``
(unplugged), ``EBUSY`` (held), ``EIO`` (gone while open).
"""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from serial.serialutil import PortNotOpenError, SerialBase, SerialException, SerialTimeoutException

from eol_inject.sim import client, url
from eol_inject.sim.frames import Kind, Unpacker, pack

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FLUSH_S: Final = 5.0
_TURN_S: Final = 0.01
"""How long a thread waits for another that is taking bytes."""
_WRITE_S: Final = 30.0
"""Longest wait for the server to take bytes where the host sets no limit."""


class Serial(SerialBase):
    """A port on a simulated unit. The unit's state lives in its server, none of it here."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._sock: socket.socket | None = None
        self._writer: socket.socket | None = None
        self._unpacker = Unpacker()
        self._input = bytearray()
        self._flushes = 0
        self._gone = False
        self._sent_baud = 0
        self._sent_lines = -1
        self._taking = threading.RLock()
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    # -- opening -----------------------------------------------------------------------------

    def open(self) -> None:
        """Connect to the unit, starting its server where it does not run.

        Raises ``SerialException`` as a real port does, ``UsageError`` for a URL that is none.
        """
        if self.port is None:
            raise SerialException("Port must be configured before it can be used.")
        if self.is_open:
            raise SerialException("Port is already open.")
        unit = url.parse(self.port)
        try:
            link = client.reach(unit, "port")
        except client.Refused as refused:
            raise _opening(self.port, refused) from None
        link.sock.settimeout(0)
        self._sock = link.sock
        self._writer = link.sock.dup()  # its own time limit, while another thread reads
        self._writer.settimeout(_WRITE_S)
        self._unpacker = link.unpacker
        self._input.clear()
        self._gone = False
        self._flushes = 0
        self._sent_baud, self._sent_lines = 0, -1
        self.is_open = True
        # esptool tries its ioctl reset on every other POSIX port, and an ioctl needs a real one
        self.name = "rfc2217:" + self.port
        self._reconfigure_port()
        self._send_lines()
        for kind, payload in link.frames:
            self._take(kind, payload)

    def close(self) -> None:
        """Let the port go. A read that waits in another thread ends with an error."""
        if not self.is_open:
            return
        self.is_open = False
        for sock in (self._sock, self._writer):
            if sock is not None:
                with contextlib.suppress(OSError):  # the other side was faster
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
        self._sock = self._writer = None

    def _reconfigure_port(self, force_update: bool = False) -> None:
        """Called at every change of any setting: only a new baud rate means something."""
        if self.baudrate != self._sent_baud:
            self._sent_baud = self.baudrate
            self._send(pack(Kind.BAUD, self.baudrate.to_bytes(4, "little")))

    # -- lines -------------------------------------------------------------------------------

    def _update_dtr_state(self) -> None:
        self._send_lines()

    def _update_rts_state(self) -> None:
        self._send_lines()

    def _update_break_state(self) -> None:
        """A break means nothing to these chips."""

    def _send_lines(self) -> None:
        lines = bool(self.dtr) | bool(self.rts) << 1
        if lines != self._sent_lines:
            self._sent_lines = lines
            self._send(pack(Kind.LINES, bytes((lines,))))

    @property
    def cts(self) -> bool:
        """Not wired."""
        self._check()
        return False

    @property
    def dsr(self) -> bool:
        """Wired to the supply: a unit is there."""
        self._check()
        return True

    @property
    def ri(self) -> bool:
        """Not wired."""
        self._check()
        return False

    @property
    def cd(self) -> bool:
        """Not wired."""
        self._check()
        return False

    # -- bytes -------------------------------------------------------------------------------

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        self._pump(0)
        if not self._input and self._gone:
            raise _vanished()
        return len(self._input)

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer, or ``b""``, when the time is over."""
        self._check()
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while len(self._input) < size:
            if self._gone:
                if self._input:
                    break
                raise _vanished()
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                self._pump(0)
                break
            self._pump(left, lambda: len(self._input) >= size)
        with self._taking:
            data = bytes(self._input[:size])
            del self._input[:size]
        return data

    def write(self, b: "Buffer", /) -> int:
        """All of ``b``. Raises ``SerialException`` when the unit is gone."""
        data = bytes(memoryview(b))
        if self._writer is not None:
            self._writer.settimeout(_WRITE_S if self.write_timeout is None else self.write_timeout)
        self._send(pack(Kind.DATA, data))
        return len(data)

    def flush(self) -> None:
        """Bytes are on their way already."""
        self._check()

    def reset_input_buffer(self) -> None:
        """Drop what arrived, and what was on its way when this was called."""
        with self._taking:
            self._flushes += 1
        self._send(pack(Kind.FLUSH))
        deadline = time.monotonic() + _FLUSH_S
        while self._flushes and not self._gone and time.monotonic() < deadline:
            self._pump(deadline - time.monotonic(), lambda: not self._flushes)
        with self._taking:
            self._input.clear()

    def reset_output_buffer(self) -> None:
        """Nothing waits on this side."""
        self._check()

    def _check(self) -> None:
        if not self.is_open:
            raise PortNotOpenError

    def _send(self, frame: bytes) -> None:
        self._check()
        if self._gone or self._writer is None:
            raise _vanished()
        try:
            self._writer.sendall(frame)
        except TimeoutError:
            raise SerialTimeoutException("Write timeout") from None
        except OSError as error:
            self._gone = True
            raise SerialException(errno.EIO, f"write failed: {error}") from error

    def _pump(self, wait_s: float | None, done: Callable[[], bool] = lambda: False) -> None:
        """Take what the server sent, waiting for the first of it at most ``wait_s``.

        One thread at a time takes; another may have taken what makes this one ``done``.
        """
        self._check()
        if not self._taking.acquire(timeout=0 if wait_s == 0 else _TURN_S):
            return
        try:
            if not done():
                self._take_some(wait_s)
        finally:
            self._taking.release()

    def _take_some(self, wait_s: float | None) -> None:
        sock = self._sock
        if sock is None or self._gone:
            return
        try:
            sock.settimeout(wait_s)
            data = sock.recv(262144)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            data = b""
        if not self.is_open:
            raise PortNotOpenError
        if not data:
            self._gone = True
        for kind, payload in self._unpacker.feed(data):
            self._take(kind, payload)

    def _take(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.DATA:
            if not self._flushes:
                self._input += payload
        elif kind is Kind.FLUSHED:
            self._flushes -= 1
        elif kind is Kind.GONE:
            self._gone = True


def _opening(port: str, refused: client.Refused) -> SerialException:
    if refused.why == "busy":
        who = f"held by process {refused.holder}" if refused.holder else "held by another program"
        return SerialException(
            errno.EBUSY, f"could not open port {port}: Device or resource busy, {who}"
        )
    return SerialException(errno.ENOENT, f"could not open port {port}: No such file or directory")


def _vanished() -> SerialException:
    return SerialException(
        errno.EIO, "device reports readiness to read but returned no data (device disconnected?)"
    )
