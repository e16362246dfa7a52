"""A port that external programs open one after another stays one slot's.

Programmers take no lock on a port and mind none (avrdude 7.1), and to hold the port open beside
them would change how they reset the unit. So nobody else's program may hold it, by what the system
says, and of our own programs only one works there: each holds an abstract socket of that name
(Linux), which goes with its process.

The programs inherit the lock. Where ours was killed and its program goes on writing, the port
stays locked until that one has ended too: nobody works on a unit that another still writes.
"""

import os
import socket
import sys
from pathlib import Path

from eol_inject.device import ports
from eol_inject.device.holders import holders, socket_holders
from eol_inject.errors import StationError


class PortLock:
    """Held from ``take`` to ``release``, and by every program that was given ``numbers``."""

    def __init__(self, port: str) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def take(self) -> None:
        """Raises ``StationError``: ``device.port_missing``, ``device.port_busy``."""
        if self._socket is None and sys.platform == "linux":
            name = f"eol-inject port {os.path.realpath(self._port)}"[:_LONGEST]
            held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                held.bind(f"\0{name}")
            except OSError:
                held.close()
                by = ", ".join(map(str, socket_holders(name)))
                raise ports.busy(self._port, by) from None
            self._socket = held
        if sys.platform != "win32" and not Path(self._port).exists():
            raise StationError("device.port_missing", port=self._port)
        if holders(self._port):
            raise ports.busy(self._port)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The descriptors that keep it, for a program to inherit."""
        return () if self._socket is None else (self._socket.fileno(),)

    def release(self) -> None:
        """Let others have it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


_LONGEST = 100
"""Characters of a socket's name (unix(7): 108 bytes)."""
