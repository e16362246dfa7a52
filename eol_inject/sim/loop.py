"""The server's event loop: sockets and timers in one thread.

``select`` and not ``epoll``: a handful of sockets, and the wire's timing needs better than the
whole milliseconds that Python's epoll waits.
"""

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable


class Loop:
    """Callbacks when a socket can be read, when it can be written, and when a time has come."""

    def __init__(self) -> None:
        self._readers: dict[socket.socket, Callable[[], object]] = {}
        self._writers: dict[socket.socket, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._running = True

    now = staticmethod(time.monotonic)

    def call_at(self, when: float, act: Callable[[], None]) -> None:
        """Run ``act`` at ``when``; equal times keep their order."""
        heapq.heappush(self._timers, (when, next(self._number), act))

    def reader(self, sock: socket.socket, act: Callable[[], object] | None) -> None:
        """Call ``act`` while ``sock`` has something to read; None ends that."""
        if act is None:
            self._readers.pop(sock, None)
        else:
            self._readers[sock] = act

    def writer(self, sock: socket.socket, act: Callable[[], None] | None) -> None:
        """Call ``act`` while ``sock`` takes bytes; None ends that."""
        if act is None:
            self._writers.pop(sock, None)
        else:
            self._writers[sock] = act

    def stop(self) -> None:
        """Leave ``run`` after the callbacks of this turn."""
        self._running = False

    def run(self) -> None:
        """Until ``stop``."""
        while self._running:
            wait = max(self._timers[0][0] - self.now(), 0.0) if self._timers else None
            readable, writable, _ = select.select(
                list(self._readers), list(self._writers), [], wait
            )
            for sock in readable:
                if act := self._readers.get(sock):
                    act()
            for sock in writable:
                if act := self._writers.get(sock):
                    act()
            now = self.now()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
