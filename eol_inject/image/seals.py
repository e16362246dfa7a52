"""What makes a boot loader accept an image: checksum, SHA-256, CRC-32. Checked, and repaired.

A patch changes a few hundred bytes of a megabyte, so the checksum is repaired by what changed, and
the digest is taken up again where the first change is.
"""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from eol_inject.image.containers.esp import EspImage, Format

_SEED: Final = 0xEF
_SIGN_BIT: Final = 0x80000000


@dataclass(frozen=True, slots=True)
class Seal:
    """How the seal of an image stands."""

    checksum: bool
    digest: Literal["SHA-256", "CRC-32"] | None
    digest_valid: bool | None
    """None where the image has no digest."""

    @property
    def valid(self) -> bool:
        """Whether a boot loader would accept it."""
        return self.checksum and self.digest_valid is not False


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes of the image that were replaced."""

    offset: int
    old: bytes
    new: bytes


def check(image: EspImage) -> Seal:
    """The seal as it stands in the file."""
    data, covered = image.data, image.checksum_at + 1
    total = _SEED
    for segment in image.segments:
        if segment.summed:
            total ^= fold(data[segment.offset : segment.end])
    summed = total == data[image.checksum_at]
    if image.digest_at is None:
        return Seal(summed, None, None)
    if image.format is Format.ESP8266_V2:
        crc = _esp8266_crc(zlib.crc32(memoryview(data)[image.start : covered]))
        return Seal(summed, "CRC-32", data[image.digest_at : image.end] == crc)
    digest = hashlib.sha256(memoryview(data)[image.start : covered]).digest()
    return Seal(summed, "SHA-256", data[image.digest_at : image.end] == digest)


class Sealer:
    """Repairs the seal of copies of one image that differ from it only at ``first`` and behind."""

    def __init__(self, image: EspImage, first: int) -> None:
        self._image = image
        self._first = first
        head = memoryview(image.data)[image.start : first]
        self._sha = hashlib.sha256(head)
        self._crc = zlib.crc32(head)

    def repair(self, data: bytearray, changes: Iterable[Change]) -> None:
        """Write checksum and digest into ``data``, in which ``changes`` were already made."""
        image = self._image
        for change in changes:
            segment = image.segment_of(change.offset)
            if segment is not None and segment.summed:
                data[image.checksum_at] ^= fold(change.old) ^ fold(change.new)
        if image.digest_at is None:
            return
        with memoryview(data) as whole, whole[self._first : image.checksum_at + 1] as rest:
            if image.format is Format.ESP8266_V2:
                digest = _esp8266_crc(zlib.crc32(rest, self._crc))
            else:
                sha = self._sha.copy()
                sha.update(rest)
                digest = sha.digest()
        data[image.digest_at : image.end] = digest


def fold(data: bytes) -> int:
    """All bytes of ``data`` XORed into one, by halving one long number."""
    number = int.from_bytes(data, "little")
    width = 1 << max(len(data) - 1, 0).bit_length()
    while width > 1:
        width //= 2
        number = (number >> (8 * width)) ^ (number & ((1 << (8 * width)) - 1))
    return number


def _esp8266_crc(crc: int) -> bytes:
    """The SDK's own reading of a CRC-32 (esptool ``esp8266_crc32``), as it stands in the file."""
    value = crc ^ 0xFFFFFFFF if crc & _SIGN_BIT else crc + 1
    return value.to_bytes(4, "little")
