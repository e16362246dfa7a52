"""After the write: does the unit's own firmware start, and say what the profile expects?"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from eol_inject.device.spec import BootSpec
from eol_inject.errors import UnitError
from eol_inject.unit import Unit

_STARTS: Final = re.compile(r"\brst:0x[0-9a-f]+|\brst cause:\d+")
"""What an Espressif ROM says at each start (ESP-IDF "Fatal errors"; ESP8266 "Boot messages")."""

_LOOP: Final = 3
"""Starts within one listening: the first is ours, a second may be a firmware's own; three loop."""


class Boots(Protocol):
    """What can be started and listened to."""

    def boot(
        self, *, listen_s: float, baud: int, until: Callable[[str], bool] | None = None
    ) -> str:
        """See ``device.Device``."""
        ...


def run(device: Boots, spec: BootSpec, unit: Unit, keep: Callable[[str], None]) -> None:
    """Reset into the application and listen; ``keep`` is given what was heard, tokens hidden.

    Raises ``UnitError``: ``device.boot_refused`` where a line matches ``refuse``,
    ``device.boot_loop`` where the unit starts over and over, ``device.boot_silent`` where nothing
    matched ``expect`` in time.
    """
    expect = re.compile(spec.expect, re.MULTILINE)
    refuse = re.compile(spec.refuse, re.MULTILINE) if spec.refuse else None

    def heard(text: str) -> bool:
        return bool(expect.search(text) or (refuse and refuse.search(text)) or _loops(text))

    log = device.boot(listen_s=spec.timeout_s, baud=spec.baud, until=heard)
    keep(log)
    if refuse and refuse.search(log):
        raise UnitError("device.boot_refused", unit=str(unit), pattern=spec.refuse)
    if expect.search(log):
        return
    if _loops(log):
        raise UnitError("device.boot_loop", unit=str(unit), starts=len(_STARTS.findall(log)))
    raise UnitError(
        "device.boot_silent", unit=str(unit), pattern=spec.expect, timeout=spec.timeout_s
    )


def _loops(log: str) -> bool:
    return len(_STARTS.findall(log)) >= _LOOP
