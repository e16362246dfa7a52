"""Ctrl-C in two steps: the first lets what is under work finish, the second lets go at once.

Ctrl-C reaches only the main thread; the slots' threads ask here.
"""

import threading


class Stop:
    """One run's wish to end."""

    def __init__(self) -> None:
        self._calm = threading.Event()
        self._now = threading.Event()

    def press(self) -> bool:
        """Somebody pressed Ctrl-C; whether it was the second time."""
        if self._calm.is_set():
            self._now.set()
        self._calm.set()
        return self._now.is_set()

    def wanted(self) -> bool:
        """Nothing new is begun."""
        return self._calm.is_set()

    def at_once(self) -> bool:
        """What is under work is let go; the unit goes on with its own token next time."""
        return self._now.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep for so long, or until somebody wants to stop; whether that is so."""
        return self._calm.wait(seconds)
