"""A unit's flash as the readers see it: ``read(address, size)`` with bounds and lengths checked."""

from collections.abc import Callable
from typing import Final

from eol_inject.errors import StationError, UnitError

Reader = Callable[[int, int], bytes]
"""``(flash address, size) -> bytes``: a serial line, a file, or both (``composed``)."""

ERASED: Final = 0xFF
SECTOR: Final = 4096

_SAMPLE: Final = 1024
_DISTINCT: Final = 236
"""Of 1,024 random bytes 251 ± 2 values are distinct; code and text stay far below."""


class Flash:
    """Flash of ``size`` bytes behind a reader."""

    def __init__(self, read: Reader, size: int) -> None:
        self.size = size
        self._read = read

    def read(self, address: int, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises ``UnitError("verify.beyond_flash")`` for an address the flash does not have,
        ``StationError("verify.short_read")`` where the reader gave another number of bytes.
        """
        if address < 0 or size < 0 or address + size > self.size:
            raise UnitError(
                "verify.beyond_flash", address=f"0x{address:X}", size=size, flash=self.size
            )
        data = self._read(address, size) if size else b""
        if len(data) != size:
            raise StationError(
                "verify.short_read", address=f"0x{address:X}", size=size, got=len(data)
            )
        return data

    def upto(self, address: int, size: int, end: int) -> bytes:
        """As much of ``size`` bytes as stands before ``end`` and the end of the flash."""
        return self.read(address, max(0, min(size, end - address, self.size - address)))

    def looks_encrypted(self, address: int) -> bool:
        """Whether the kilobyte at ``address`` has the even spread of ciphertext."""
        return spread_evenly(self.upto(address, _SAMPLE, self.size))


def is_erased(data: bytes) -> bool:
    """Whether every byte is as an erase leaves it."""
    return data.count(ERASED) == len(data)


def spread_evenly(data: bytes) -> bool:
    """Whether at least a kilobyte of ``data`` looks random, as encrypted flash does."""
    return len(data) >= _SAMPLE and len(set(data[:_SAMPLE])) >= _DISTINCT
