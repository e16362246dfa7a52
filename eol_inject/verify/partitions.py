"""Reads the partition table as the second-stage bootloader does (ESP-IDF flash_partitions.c).

32-byte entries ``AA 50 type subtype offset size label[16] flags``, an ``EB EB`` entry with the
MD5 of everything before it, then FF. What the bootloader refuses is refused, and overlaps too.
"""

import hashlib
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from eol_inject.errors import UnitError
from eol_inject.verify.flash import Flash, is_erased, spread_evenly

TABLE_BYTES: Final = 0xC00
"""The table's greatest length; the sector's rest is not read by the bootloader."""
_FIRST_READ: Final = 512
_ENTRY: Final = 32
_MAGIC: Final = b"\xaa\x50"
_MD5: Final = b"\xeb\xeb"
_END: Final = b"\xff\xff\xff\xff"
_ALIGNMENT: Final = 0x1000

APP: Final = 0
DATA: Final = 1
FACTORY: Final = 0x00
OTA_FIRST: Final = 0x10
OTA_LAST: Final = 0x1F
TEST: Final = 0x20
OTADATA: Final = 0x00
NVS: Final = 0x02


@dataclass(frozen=True, slots=True)
class Partition:
    """One row of the table; address and size in flash bytes."""

    label: str
    type: int
    subtype: int
    address: int
    size: int

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.size


def read_table(flash: Flash, address: int) -> tuple[Partition, ...] | None:
    """The table at ``address``; None where that flash is erased.

    Raises ``UnitError``: ``verify.table_corrupt`` (``address``, ``why``), ``verify.encrypted``.
    """
    data = flash.upto(address, _FIRST_READ, address + TABLE_BYTES)
    if not _has_end(data):
        data += flash.upto(address + len(data), TABLE_BYTES - len(data), address + TABLE_BYTES)
    return parse_table(data, address=address, flash_size=flash.size)


def parse_table(data: bytes, *, address: int, flash_size: int) -> tuple[Partition, ...] | None:
    """The table in ``data``, which stands at ``address``; None where ``data`` is erased.

    Raises as ``read_table`` does.
    """
    if is_erased(data):
        return None
    if spread_evenly(data):
        raise UnitError("verify.encrypted", place="the partition table")
    rows: list[Partition] = []
    digest = ""
    for at in range(0, min(len(data), TABLE_BYTES) - _ENTRY + 1, _ENTRY):
        row = data[at : at + _ENTRY]
        if row.startswith(_MAGIC):
            rows.append(_partition(row))
        elif row.startswith(_MD5):
            if digest:
                raise _corrupt(address, "it has two MD5 entries")
            digest = row[16:].hex()
            if hashlib.md5(data[:at], usedforsecurity=False).hexdigest() != digest:
                raise _corrupt(address, "its MD5 does not match")
        elif row.startswith(_END):
            _check_bounds(rows, address, flash_size)
            return tuple(rows)
        else:
            raise _corrupt(address, f"entry {at // _ENTRY} has no magic number")
    raise _corrupt(address, "it has no end")


def _has_end(data: bytes) -> bool:
    return any(data.startswith(_END, at) for at in range(0, len(data), _ENTRY)) and not is_erased(
        data
    )


def _partition(row: bytes) -> Partition:
    _, kind, subtype, address, size, label, _ = struct.unpack("<HBBII16sI", row)
    return Partition(
        label.split(b"\0", 1)[0].decode("ascii", "replace"), kind, subtype, address, size
    )


def _check_bounds(rows: list[Partition], address: int, flash_size: int) -> None:
    for row in rows:
        if row.end > flash_size:
            raise _corrupt(address, f"'{row.label}' ends at 0x{row.end:X}, behind the flash")
        if row.address % _ALIGNMENT:
            raise _corrupt(address, f"'{row.label}' does not begin on a sector")
    ordered = sorted((row for row in rows if row.size), key=lambda row: row.address)
    for one, other in pairwise(ordered):
        if one.end > other.address:
            raise _corrupt(address, f"'{one.label}' and '{other.label}' overlap")


def _corrupt(address: int, why: str) -> UnitError:
    return UnitError("verify.table_corrupt", address=f"0x{address:X}", why=why)
