"""NOR flash: erasing sets whole 4 KiB sectors to FF, programming only clears bits.

Kept in memory only: tokens live here, and no simulated unit leaves one on a disk.
"""

from collections.abc import Callable
from typing import Final

from eol_inject.chips import SECTOR

_SPOT: Final = 0x123
"""Offset of the weak cell in a bad sector."""


class Flash:
    """The flash chip of one board; addresses wrap at its size, as on the real bus."""

    def __init__(self, size: int, is_bad: Callable[[int], bool] = lambda _sector: False) -> None:
        self.size: Final = size
        self._cells = bytearray(b"\xff") * size
        self._is_bad = is_bad

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes from ``address``."""
        address %= self.size
        part = bytes(self._cells[address : address + size])
        while len(part) < size:
            part += bytes(self._cells[: size - len(part)])
        return part

    def erase(self, address: int, size: int) -> None:
        """Set every sector that ``[address, address + size)`` touches to FF."""
        first = address // SECTOR * SECTOR
        last = -(-(address + size) // SECTOR) * SECTOR
        for start, length in self._spans(first, min(last - first, self.size)):
            self._cells[start : start + length] = b"\xff" * length

    def program(self, address: int, data: bytes) -> None:
        """Clear bits: what was not erased before becomes old AND new.

        A bad sector keeps one cell wrong whenever that cell is programmed.
        """
        taken = 0
        for start, length in self._spans(address, len(data)):
            piece = data[taken : taken + length]
            taken += length
            old = self._cells[start : start + length]
            if old.count(0xFF) == length:
                self._cells[start : start + length] = piece
            else:
                both = int.from_bytes(old, "little") & int.from_bytes(piece, "little")
                self._cells[start : start + length] = both.to_bytes(length, "little")
            self._spoil(start, length)

    def load(self, address: int, data: bytes) -> None:
        """Put ``data`` there whatever was there before: preloading, and ``poke``."""
        for start, length in self._spans(address, len(data)):
            self._cells[start : start + length] = data[:length]
            data = data[length:]

    def wipe(self) -> None:
        """Erase the whole chip."""
        self._cells[:] = b"\xff" * self.size

    def _spoil(self, start: int, length: int) -> None:
        for sector in range(start // SECTOR * SECTOR, start + length, SECTOR):
            spot = sector + _SPOT
            if start <= spot < start + length and self._is_bad(sector):
                self._cells[spot] ^= 0x10

    def _spans(self, address: int, size: int) -> list[tuple[int, int]]:
        spans = []
        while size > 0:
            start = address % self.size
            length = min(size, self.size - start)
            spans.append((start, length))
            address += length
            size -= length
        return spans
