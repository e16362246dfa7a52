"""What makes a boot loader accept an image: checksum, SHA-256, CRC-32. Checked, and repaired.

A patch changes a few hundred bytes of a megabyte, so the checksum is repaired by what changed, and
the digest is taken up again where the first change is.
"""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from eol_inject.image.containers import Image
from eol_inject.image.containers.esp import EspImage, Format
from eol_inject.image.containers.plain import PlainImage

_SEED: Final = 0xEF
_SIGN_BIT: Final = 0x80000000
_CHUNK: Final = 16384
"""Bytes XORed at once; anything from 4 KiB to 256 KiB is equally fast."""

Digest = Literal["SHA-256", "CRC-32"]


@dataclass(frozen=True, slots=True)
class Seal:
    """How the seal of an image stands."""

    checksum: bool
    digest: Digest | None
    digest_valid: bool | None
    """None where the image has no digest."""

    @property
    def valid(self) -> bool:
        """Whether a boot loader would accept it."""
        return self.checksum and self.digest_valid is not False


@dataclass(frozen=True, slots=True)
class Change:
    """New bytes for a place inside a segment, as many as stood there."""

    offset: int
    new: bytes = field(repr=False)


def check(image: EspImage) -> Seal:
    """The seal as it stands in the file."""
    return Sealer(image, image.start).seal()


def sealer(image: Image, first: int) -> "Sealer | Splicer":
    """What judges ``image`` and puts changes at ``first`` or behind into it."""
    return Sealer(image, first) if isinstance(image, EspImage) else Splicer(image)


class Splicer:
    """For firmware that nothing seals: changes are all there is."""

    def __init__(self, image: PlainImage) -> None:
        self._data = image.data

    def seal(self) -> Seal:
        """Nothing that could be broken."""
        return Seal(checksum=True, digest=None, digest_valid=None)

    def apply(self, changes: Iterable[Change]) -> bytes:
        """The bytes with ``changes`` in them."""
        return b"".join(_spliced(self._data, 0, len(self._data), changes))


class Sealer:
    """Judges the seal of an image, and seals copies that differ from it at ``first`` or behind."""

    def __init__(self, image: EspImage, first: int) -> None:
        self._image = image
        self._first = first
        head = memoryview(image.data)[image.start : first]
        self._sha = hashlib.sha256(head)
        self._crc = zlib.crc32(head)

    def seal(self) -> Seal:
        """How the seal of the image itself stands."""
        image = self._image
        total, whole = _SEED, memoryview(image.data)
        for segment in image.segments:
            if segment.summed:
                total ^= fold(whole[segment.offset : segment.end])
        summed = total == image.data[image.checksum_at]
        if image.digest_at is None:
            return Seal(summed, None, None)
        covered = whole[self._first : image.checksum_at + 1]
        valid = whole[image.digest_at : image.end] == self._digest([covered])
        name: Digest = "CRC-32" if image.format is Format.ESP8266_V2 else "SHA-256"
        return Seal(summed, name, valid)

    def apply(self, changes: Iterable[Change]) -> bytes:
        """The whole file with ``changes`` in the image's segments, sealed again."""
        image, whole = self._image, memoryview(self._image.data)
        checksum, changes = whole[image.checksum_at], tuple(changes)
        for change in changes:
            if any(s.summed and s.offset <= change.offset < s.end for s in image.segments):
                end = change.offset + len(change.new)
                checksum ^= fold(whole[change.offset : end]) ^ fold(change.new)
        pieces = [*_spliced(image.data, self._first, image.checksum_at, changes), bytes([checksum])]
        digest = b"" if image.digest_at is None else self._digest(pieces)
        return b"".join([whole[: self._first], *pieces, digest, whole[image.end :]])

    def _digest(self, pieces: Iterable[bytes | memoryview]) -> bytes:
        """Of the image up to ``first`` and then ``pieces``."""
        if self._image.format is Format.ESP8266_V2:
            crc = self._crc
            for piece in pieces:
                crc = zlib.crc32(piece, crc)
            return _esp8266_crc(crc)
        sha = self._sha.copy()
        for piece in pieces:
            sha.update(piece)
        return sha.digest()


def _spliced(
    data: bytes, start: int, end: int, changes: Iterable[Change]
) -> list[bytes | memoryview]:
    """``data`` from ``start`` to ``end`` with ``changes`` in it, in pieces that are not copied."""
    whole = memoryview(data)
    pieces: list[bytes | memoryview] = []
    for change in sorted(changes, key=lambda change: change.offset):
        pieces += whole[start : change.offset], change.new
        start = change.offset + len(change.new)
    return [*pieces, whole[start:end]]


def fold(data: bytes | memoryview) -> int:
    """All bytes of ``data`` XORed into one: long numbers first, then that one halved."""
    number = 0
    for at in range(0, len(data), _CHUNK):
        number ^= int.from_bytes(data[at : at + _CHUNK], "little")
    width = _CHUNK
    while width > 1:
        width //= 2
        number = (number >> (8 * width)) ^ (number & ((1 << (8 * width)) - 1))
    return number


def _esp8266_crc(crc: int) -> bytes:
    """The SDK's own reading of a CRC-32 (esptool ``esp8266_crc32``), as it stands in the file."""
    value = crc ^ 0xFFFFFFFF if crc & _SIGN_BIT else crc + 1
    return value.to_bytes(4, "little")
