"""The partition table of a merged flash image.

Source: ESP-IDF "Partition Tables": 32-byte entries ``AA 50 type subtype offset size label flags``,
ended by ``EB EB`` and an MD5 of the entries, or by FF.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

_ENTRY: Final = struct.Struct("<2sBBII16sI")
_MAGIC: Final = b"\xaa\x50"
_MD5_MAGIC: Final = b"\xeb\xeb" + b"\xff" * 14
_TABLE_SIZE: Final = 0xC00
_APP, _DATA = 0, 1
_ENCRYPTED: Final = 1
"""Bit 0 of an entry's flags (ESP-IDF ``PART_FLAG_ENCRYPTED``)."""
_OTA_SLOTS: Final = range(0x10, 0x20)
_SUBTYPES: Final = {
    (_APP, 0x00): "factory application",
    (_APP, 0x20): "test application",
    (_DATA, 0x00): "choice of the application (otadata)",
    (_DATA, 0x01): "radio calibration (phy)",
    (_DATA, 0x02): "NVS",
    (_DATA, 0x03): "core dump",
    (_DATA, 0x04): "NVS keys",
    (_DATA, 0x05): "eFuse emulation",
    (_DATA, 0x81): "FAT",
    (_DATA, 0x82): "SPIFFS",
    (_DATA, 0x83): "LittleFS",
}


@dataclass(frozen=True, slots=True)
class Partition:
    """One entry; addresses and sizes in bytes of flash."""

    label: str
    type: int
    subtype: int
    address: int
    size: int
    flagged_encrypted: bool = False

    @property
    def is_application(self) -> bool:
        """Whether the boot loader would look for an application in it."""
        return self.type == _APP and (self.subtype in {0x00, 0x20} or self.subtype in _OTA_SLOTS)

    @property
    def is_choice(self) -> bool:
        """Whether it says which application starts."""
        return (self.type, self.subtype) == (_DATA, 0x00)

    @property
    def is_nvs(self) -> bool:
        """Whether it is a store of named values."""
        return (self.type, self.subtype) == (_DATA, 0x02)

    @property
    def is_decrypted(self) -> bool:
        """Whether ESP-IDF decrypts what it reads there, on a chip with flash encryption: the flag,
        and the kinds that ``esp_partition`` takes for encrypted by themselves."""
        by_kind = self.type == _APP or (self.type == _DATA and self.subtype in {0x00, 0x04})
        return by_kind or self.flagged_encrypted

    @property
    def words(self) -> str:
        """What it is for."""
        if self.type == _APP and self.subtype in _OTA_SLOTS:
            return f"application slot ota_{self.subtype - _OTA_SLOTS.start}"
        return _SUBTYPES.get((self.type, self.subtype), f"type {self.type}.{self.subtype}")


def looks_like(data: bytes, at: int) -> bool:
    """Whether a partition table may begin at ``at``."""
    return data[at : at + 2] == _MAGIC


def parse(data: bytes, at: int) -> tuple[Partition, ...] | None:
    """The table at ``at``; None where the bytes are not a whole, sound table."""
    rows: list[Partition] = []
    for position in range(at, min(at + _TABLE_SIZE, len(data)), _ENTRY.size):
        entry = data[position : position + _ENTRY.size]
        if len(entry) < _ENTRY.size:
            return None
        if entry[:16] == _MD5_MAGIC:
            digest = hashlib.md5(data[at:position], usedforsecurity=False).digest()
            return tuple(rows) if rows and entry[16:] == digest else None
        if entry == b"\xff" * _ENTRY.size:
            break
        magic, kind, subtype, address, size, label, flags = _ENTRY.unpack(entry)
        if magic != _MAGIC:
            return None
        name = label.rstrip(b"\0").decode("ascii", "replace")
        rows.append(Partition(name, kind, subtype, address, size, bool(flags & _ENCRYPTED)))
    return tuple(rows) or None
