"""Blocks to write → runs of whole sectors, checked before the chip is touched.

An unaligned write erases the rest of its sector silently (seen on emulated mask ROM, in ROM and
stub mode), so nothing but whole sectors leaves this package.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from eol_inject.chips import SECTOR
from eol_inject.device.packing import Piece
from eol_inject.errors import UnitError, UsageError


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """Neighbouring sectors that are written in one go; no repr, since the data may hold a token."""

    address: int
    data: bytes
    pieces: tuple[Piece, ...] = ()
    """The same bytes as the caller gave them, and which of them every unit gets."""

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.address + len(self.data)


def coalesce(
    blocks: Sequence[tuple[int, bytes]], common: Container[int] = frozenset()
) -> tuple[Run, ...]:
    """``blocks`` in order of address, neighbours joined; ``common``: addresses of every unit's.

    Raises ``UsageError("device.not_whole_sectors")`` and ``UsageError("device.overlap")``.
    """
    runs: list[list[tuple[int, bytes]]] = []
    end = -1
    for address, data in sorted(blocks, key=lambda block: block[0]):
        whole_sectors(address, len(data))
        if address < end:
            raise UsageError("device.overlap", address=f"{address:#x}")
        if address == end:
            runs[-1].append((address, data))
        else:
            runs.append([(address, data)])
        end = address + len(data)
    return tuple(
        Run(
            run[0][0],
            b"".join(data for _, data in run),
            tuple(Piece(data, address in common) for address, data in run),
        )
        for run in runs
    )


def whole_sectors(address: int, size: int) -> None:
    """Raise ``UsageError("device.not_whole_sectors")`` for anything else, and for nothing."""
    if address < 0 or address % SECTOR or size <= 0 or size % SECTOR:
        raise UsageError("device.not_whole_sectors", address=f"{address:#x}", size=size)


def fits(end: int, flash_size: int) -> None:
    """Raise ``UnitError("device.flash_too_small")`` where ``end`` lies behind the flash."""
    if end > flash_size:
        raise UnitError("device.flash_too_small", need=end, have=flash_size)
