"""After the write: does the unit's own firmware start, and say what the profile expects?"""

import re

from eol_inject.device import Device
from eol_inject.device.spec import BootSpec
from eol_inject.errors import UnitError
from eol_inject.unit import Unit


def run(device: Device, spec: BootSpec, unit: Unit) -> None:
    """Reset into the application and listen.

    Raises ``UnitError``: ``device.boot_refused`` where a line matches ``refuse``,
    ``device.boot_silent`` where none matched ``expect`` in time.
    """
    expect = re.compile(spec.expect, re.MULTILINE)
    refuse = re.compile(spec.refuse, re.MULTILINE) if spec.refuse else None

    def heard(text: str) -> bool:
        return bool(expect.search(text) or (refuse and refuse.search(text)))

    log = device.boot(listen_s=spec.timeout_s, baud=spec.baud, until=heard)
    if refuse and refuse.search(log):
        raise UnitError("device.boot_refused", unit=str(unit), pattern=spec.refuse)
    if not expect.search(log):
        raise UnitError(
            "device.boot_silent", unit=str(unit), pattern=spec.expect, timeout=spec.timeout_s
        )
