"""Shortens the pauses that esptool makes for real chips, for tests against simulated ones."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

FACTOR = 8

BOOT_PIN_S = 0.05
"""How long the boot pin is held after a reset: not shortened, or a busy machine misses it."""


@contextmanager
def hurried() -> Iterator[None]:
    """Pauses in esptool's loader and resets, and pyserial's after closing a socket, shortened."""
    import esp_pylib.serial_reset
    import serial.urlhandler.protocol_socket
    from esptool import cmds, loader

    def quick(seconds: float) -> None:
        time.sleep(seconds / FACTOR)

    def careful(seconds: float) -> None:
        time.sleep(seconds if seconds == BOOT_PIN_S else seconds / FACTOR)

    with pytest.MonkeyPatch.context() as patch:
        for module, sleep in (
            (cmds, quick),
            (loader, quick),
            (esp_pylib.serial_reset, careful),
            (serial.urlhandler.protocol_socket, quick),
        ):
            clock = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=sleep)
            patch.setattr(module, "time", clock)
        yield
