"""Shortens the pauses that esptool makes for real chips, for tests against simulated ones."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

FACTOR = 8
"""0.05 s after a reset become 6 ms: the simulation samples the boot pin after 5."""


@contextmanager
def hurried() -> Iterator[None]:
    """Pauses in esptool's loader and resets, and pyserial's after closing a socket, shortened."""
    import esp_pylib.serial_reset
    import serial.urlhandler.protocol_socket
    from esptool import loader

    quick = SimpleNamespace(
        time=time.time,
        monotonic=time.monotonic,
        sleep=lambda seconds: time.sleep(seconds / FACTOR),
    )
    with pytest.MonkeyPatch.context() as patch:
        for module in (loader, esp_pylib.serial_reset, serial.urlhandler.protocol_socket):
            patch.setattr(module, "time", quick)
        yield
