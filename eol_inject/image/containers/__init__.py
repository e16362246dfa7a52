"""What a firmware file is, found by looking at it.

An application image stands alone, in a merged flash image (boot loader, partition table and
application slots as they lie in flash, from address 0), or behind Arduino's boot loader for ESP8266
(``sketch``). Intel HEX is known by its colon; raw bytes are taken for firmware only where somebody
says so.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from eol_inject.chips import CHIPS, SECTOR
from eol_inject.errors import UsageError
from eol_inject.image.containers import esp, partitions, plain, sketch
from eol_inject.image.containers.esp import EspImage
from eol_inject.image.containers.partitions import Partition
from eol_inject.image.containers.plain import PlainImage

_ELF: Final = b"\x7fELF"
_TABLE_SPAN: Final = range(0x8000, 0x41000, SECTOR)
"""Where a merged image's partition table is looked for; ESP-IDF's default first."""


class Kind(StrEnum):
    """The sorts of files we know."""

    APPLICATION = "application"
    MERGED = "merged"
    SKETCH = "sketch"
    HEX = "hex"
    RAW = "raw"


Image = EspImage | PlainImage
"""What a region is looked for in."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One application partition of a merged image and what stands in it."""

    partition: Partition
    image: EspImage | None
    """None where the slot is empty or holds something else."""


@dataclass(frozen=True, slots=True)
class Container:
    """A firmware file and the images in it."""

    kind: Kind
    data: bytes = field(repr=False)
    images: tuple[Image, ...]
    """Every application in it, in file order; never the boot loader of a merged image."""
    boot: EspImage | None = None
    table_at: int | None = None
    partitions: tuple[Partition, ...] = ()
    slots: tuple[Slot, ...] = ()

    def application(self) -> Image:
        """The one application that takes the token.

        In a merged image with two filled slots the unit would start either of them, and only one
        would hold the token: refused. Raises ``UsageError``: ``image.no_application``,
        ``image.two_slots``.
        """
        if not self.images:
            raise UsageError("image.no_application")
        if len(self.images) > 1:
            labels = ", ".join(slot.partition.label for slot in self.slots if slot.image)
            raise UsageError("image.two_slots", slots=labels)
        return self.images[0]

    def file(self, data: bytes) -> bytes:
        """The application's bytes ``data`` as the file that holds them, with the file's own CRC."""
        if self.kind is Kind.HEX:
            return plain.to_hex(self.data, data)
        return sketch.with_crc(data) if self.crc_valid() else data

    def crc_valid(self) -> bool | None:
        """Whether the CRC of the whole file is right; None where there is none."""
        return sketch.crc_valid(self.data) if self.kind is Kind.SKETCH else None


def look(data: bytes, *, chip: str | None = None, raw_at: int | None = None) -> Container:
    """What ``data`` is: for ``chip``, an Espressif one, where it is named.

    ``raw_at`` takes the bytes as they are, for that address. Raises ``UsageError``:
    ``image.is_elf``, ``image.is_hex``, ``image.bad_hex``, and those of ``esp.parse``.
    """
    if data[:4] == _ELF:
        raise UsageError("image.is_elf")
    if raw_at is not None:
        return Container(Kind.RAW, data, (plain.raw(data, raw_at),))
    if plain.looks_like_hex(data):
        if chip is not None:
            raise UsageError("image.is_hex")
        return Container(Kind.HEX, data, (plain.from_hex(data),))
    merged = _look_merged(data, chip)
    if merged is not None:
        return merged
    pair = sketch.parse(data) if chip in {None, "esp8266"} else None
    if pair is not None:
        return Container(Kind.SKETCH, data, pair[1:], boot=pair[0])
    return Container(Kind.APPLICATION, data, (esp.parse(data, chip=chip),))


def _look_merged(data: bytes, chip: str | None) -> Container | None:
    """A merged image, or None. A table inside an application's own data does not count."""
    table = _find_table(data)
    if table is None:
        return None
    at, rows = table
    boot = _find_boot(data, at, chip)
    if boot is not None and boot.end > at:
        return None
    slots = tuple(_slot(data, row, chip) for row in rows if row.is_application)
    images: tuple[Image, ...] = tuple(slot.image for slot in slots if slot.image)
    return Container(Kind.MERGED, data, images, boot, at, rows, slots)


def _find_table(data: bytes) -> tuple[int, tuple[Partition, ...]] | None:
    for at in _TABLE_SPAN:
        if partitions.looks_like(data, at):
            rows = partitions.parse(data, at)
            if rows:
                return at, rows
    return None


def _find_boot(data: bytes, before: int, chip: str | None) -> EspImage | None:
    """The boot loader, at the address that some chip has it at."""
    for at in sorted({row.bootloader_address for row in CHIPS.values()}):
        if esp.looks_like(data, at) and at < before:
            return esp.parse(data, at, chip=chip)
    return None


def _slot(data: bytes, row: Partition, chip: str | None) -> Slot:
    if not esp.looks_like(data, row.address):
        return Slot(row, None)
    return Slot(row, esp.parse(data, row.address, chip=chip))
