"""Two ways to a label printer's bytes: a TCP socket, and a USB printer's device file."""

import os
import select
import socket
from pathlib import Path
from typing import Protocol

_CHUNK = 4096


class Channel(Protocol):
    """Bytes to and from a printer. All methods raise ``OSError`` where the printer is gone."""

    def send(self, data: bytes) -> None:
        """All of it, or an error; ``TimeoutError`` where the printer stops taking bytes."""
        ...

    def receive(self, timeout_s: float) -> bytes:
        """What comes within the time; empty where nothing does."""
        ...

    def close(self) -> None:
        """Give the printer back to others: many take one connection at a time."""
        ...


class TcpChannel:
    """A raw socket, port 9100 by custom."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """See ``Channel``."""
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(data)

    def receive(self, timeout_s: float) -> bytes:
        """See ``Channel``."""
        self._socket.settimeout(max(timeout_s, 0.001))
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionResetError("the printer closed the connection")
        return data

    def close(self) -> None:
        """See ``Channel``."""
        self._socket.close()


class DeviceFileChannel:
    """A character device such as ``/dev/usb/lp0``, both ways (Linux ``usblp``)."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        flags = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
        self._descriptor = os.open(path, flags)

    def send(self, data: bytes) -> None:
        """See ``Channel``."""
        left = memoryview(data)
        while left:
            _, writable, _ = select.select([], [self._descriptor], [], self._timeout_s)
            if not writable:
                raise TimeoutError("the printer takes no more bytes")
            left = left[os.write(self._descriptor, left) :]

    def receive(self, timeout_s: float) -> bytes:
        """See ``Channel``."""
        readable, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not readable:
            return b""
        try:
            return os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """See ``Channel``."""
        os.close(self._descriptor)
