"""The plan of changed sectors: what to write, and what everything else must be.

Flash is erased by 4 KiB sectors, so a patch is whole sectors; the spans between them carry the MD5
that the chip itself can compute, which proves that the golden image is there.
"""

import hashlib
from dataclasses import dataclass, field

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError


@dataclass(frozen=True, slots=True)
class Span:
    """Unchanged bytes of flash, and what the chip's MD5 of them must be."""

    address: int
    size: int
    md5: str
    """As 32 hex digits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an injection writes and expects."""

    sectors: tuple[tuple[int, bytes], ...] = field(repr=False)
    """Flash address and whole content of each changed sector; they hold secrets."""
    rest: tuple[Span, ...]
    """Every byte of the image outside these sectors."""

    @property
    def addresses(self) -> tuple[int, ...]:
        """Flash address of each changed sector."""
        return tuple(address for address, _ in self.sectors)


def plan(golden: bytes, patched: bytes, address: int) -> Plan:
    """How to turn a flash that holds ``golden`` at ``address`` into one that holds ``patched``.

    The last sector is padded with FF, as an erase leaves it. Raises
    ``UsageError("image.not_plannable")`` where the two differ in length or ``address`` is not on a
    sector.
    """
    changed = changed_sectors(golden, patched, address)
    return Plan(contents(patched, changed, address), spans(golden, changed, address))


def changed_sectors(golden: bytes, patched: bytes, address: int) -> tuple[int, ...]:
    """Offsets of the sectors that differ."""
    if len(golden) != len(patched):
        why = f"{len(patched)} bytes against {len(golden)}"
        raise UsageError("image.not_plannable", why=why)
    if address % SECTOR:
        raise UsageError("image.not_plannable", why=f"{address:#x} is not on a 4096-byte sector")
    return tuple(
        at
        for at in range(0, len(golden), SECTOR)
        if golden[at : at + SECTOR] != patched[at : at + SECTOR]
    )


def contents(
    patched: bytes, changed: tuple[int, ...], address: int
) -> tuple[tuple[int, bytes], ...]:
    """The changed sectors as they go to the device."""
    return tuple((address + at, patched[at : at + SECTOR].ljust(SECTOR, b"\xff")) for at in changed)


def spans(golden: bytes, changed: tuple[int, ...], address: int) -> tuple[Span, ...]:
    """Everything between the changed sectors."""
    found, at = [], 0
    for edge in (*changed, len(golden)):
        if edge > at:
            digest = hashlib.md5(golden[at:edge], usedforsecurity=False).hexdigest()
            found.append(Span(address + at, edge - at, digest))
        at = edge + SECTOR
    return tuple(found)
