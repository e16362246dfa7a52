"""Which application the bootloader starts: otadata, then its order of fallbacks.

Source: ESP-IDF bootloader_utility.c (``get_selected_boot_partition``, ``load_boot_image``) and
bootloader_common_loader.c, without anti-rollback.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from eol_inject.verify import partitions
from eol_inject.verify.flash import SECTOR, Flash
from eol_inject.verify.partitions import Partition

RECORD: Final = 32
_NO_SEQUENCE: Final = 0xFFFFFFFF
_FACTORY: Final = -1


class OtaState(IntEnum):
    """The state word of a record; other values are taken as undefined."""

    NEW = 0
    PENDING = 1
    VALID = 2
    INVALID = 3
    ABORTED = 4


@dataclass(frozen=True, slots=True)
class OtaRecord:
    """One of the two records of otadata."""

    sequence: int
    state: int
    crc_holds: bool

    @property
    def dead(self) -> bool:
        """Erased, or the bootloader gave this application up."""
        return self.sequence == _NO_SEQUENCE or self.state in {OtaState.INVALID, OtaState.ABORTED}

    @property
    def counts(self) -> bool:
        """Whether the bootloader goes by it."""
        return not self.dead and self.crc_holds


def parse_record(data: bytes) -> OtaRecord:
    """A record of 32 bytes: sequence, 20 bytes label, state, CRC-32 of the sequence alone."""
    sequence, _, state, crc = struct.unpack("<I20sII", data)
    return OtaRecord(sequence, state, zlib.crc32(data[:4], 0xFFFFFFFF) == crc)


def read_records(flash: Flash, table: Sequence[Partition]) -> tuple[OtaRecord, ...]:
    """Both records; empty where the table has no otadata of two sectors."""
    for row in table:
        if (row.type, row.subtype) == (partitions.DATA, partitions.OTADATA):
            if row.size < 2 * SECTOR:
                return ()
            return tuple(parse_record(flash.read(row.address + at, RECORD)) for at in (0, SECTOR))
    return ()


def active(records: Sequence[OtaRecord]) -> OtaRecord | None:
    """The record the bootloader follows: the valid one with the greater sequence."""
    valid = [record for record in records if record.counts]
    return max(valid, key=lambda record: record.sequence, default=None)


def boot_order(table: Sequence[Partition], records: Sequence[OtaRecord]) -> tuple[Partition, ...]:
    """Application partitions as the bootloader tries them; the first with a good image starts.

    From the selected one down to the factory application, then the slots above, then test.
    """
    apps = {row.subtype: row for row in table if row.type == partitions.APP and row.size}
    slots = [apps.get(subtype) for subtype in range(partitions.OTA_FIRST, partitions.OTA_LAST + 1)][
        : sum(partitions.OTA_FIRST <= subtype <= partitions.OTA_LAST for subtype in apps)
    ]
    factory = apps.get(partitions.FACTORY)
    start = _start(records, factory is not None, len(slots))
    down = [factory if i == _FACTORY else slots[i] for i in range(start, _FACTORY - 1, -1)]
    up = slots[start + 1 :]
    order = [*down, *up, apps.get(partitions.TEST)]
    return tuple(row for row in order if row is not None)


def _start(records: Sequence[OtaRecord], has_factory: bool, slots: int) -> int:
    """Index of the application tried first; -1 is the factory one."""
    if not records or not slots:
        return _FACTORY
    if all(record.dead for record in records):
        return _FACTORY if has_factory else 0
    chosen = active(records)
    if chosen is None:
        return _FACTORY
    return (chosen.sequence - 1) % slots
