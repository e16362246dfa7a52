"""Which serial ports there are, and which of them is in a certain place.

A slot is a physical place: port names move when units are changed, and cheap bridges all have one
serial number or none (line-failures 10). Everything here is a function of a snapshot, so what a
certain layout leads to can be tried without it.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from eol_inject.errors import StationError

USB_JTAG: Final = "303a:1001"
"""Espressif's own USB-Serial/JTAG: the unit itself is the USB device, so it comes and goes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One serial port of this computer; empty text where the system does not say."""

    port: str
    location: str
    """The physical USB place, as ``bus-hub.port``, of a bridge with several ports also which one:
    it stays when the unit is changed."""
    bridge: str
    """USB vendor and product id of the bridge chip, ``VVVV:PPPP``."""
    serial_number: str
    description: str


Snapshot = tuple[Seen, ...]
"""All ports at one moment, sorted as a person counts (COM2 before COM10)."""


_LOOKS: Final = 5
"""A port that goes away while pyserial reads about it ends the listing: then it is made anew."""


def snapshot() -> Snapshot:
    """The ports that the system lists now. Raises ``StationError("device.ports_unlisted")``."""
    for _ in range(_LOOKS):
        # pyserial 3.5 takes a missing line of /sys for a number where a unit was just unplugged
        with suppress(OSError, TypeError, ValueError):
            return _listed_now()
    raise StationError("device.ports_unlisted")


def _listed_now() -> Snapshot:
    from serial.tools import list_ports

    found = (
        Seen(
            port=info.device,
            location=info.location or "",
            bridge="" if info.vid is None else f"{info.vid:04x}:{info.pid:04x}",
            serial_number=info.serial_number or "",
            description="" if info.description == "n/a" else info.description,
        )
        for info in list_ports.comports()
    )
    return tuple(sorted(found, key=_as_counted))


def _as_counted(seen: Seen) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", seen.port)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


@dataclass(frozen=True, slots=True)
class Where:
    """How a slot's port is found: one of the three."""

    location: str = ""
    serial_number: str = ""
    url: str = ""

    @property
    def empty(self) -> bool:
        """Whether it names nothing: a port without a USB place would be in that one."""
        place, _, _ = self.location.partition(":")
        return not (place.strip() or self.serial_number.strip() or self.url.strip())

    def within(self, other: "Where") -> bool:
        """Whether what is here is there too: the same place, or an interface of that bridge."""
        if self.url and other.url and "://" not in self.url + other.url:
            return os.path.realpath(self.url) == os.path.realpath(other.url)
        return self == other or (
            bool(self.location) and self.location.partition(":")[0] == other.location
        )


def port_at(where: Where, ports: Sequence[Seen]) -> str | None:
    """The port in that place now; None where nothing is.

    Raises ``StationError("device.place_ambiguous")`` where several ports answer to it: units must
    not be told apart by luck.
    """
    if where.empty:
        return None
    if where.url:
        return where.url if "://" in where.url or _listed(where.url, ports) else None
    found = [one.port for one in ports if _is_at(where, one)]
    if len(found) > 1:
        place = where.location or where.serial_number
        raise StationError("device.place_ambiguous", place=place, ports=", ".join(found))
    return found[0] if found else None


def _listed(name: str, ports: Sequence[Seen]) -> bool:
    """A port that the system lists, or one that is no USB device at all (a pty, a link)."""
    from pathlib import Path

    return any(one.port == name for one in ports) or Path(name).exists()


def _is_at(where: Where, seen: Seen) -> bool:
    """A location without an interface means the whole bridge: fine where it has one port."""
    if where.serial_number:
        return seen.serial_number == where.serial_number
    place, _, interface = seen.location.partition(":")
    wanted, _, wanted_interface = where.location.partition(":")
    return place == wanted and (not wanted_interface or interface == wanted_interface)
