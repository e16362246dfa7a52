"""Reads an application image on the unit: header, segments, seal (esp.md "Application image").

Positions are flash addresses. ESP32 family and ESP8266 version 1 begin with ``E9``; ESP8266
version 2 begins with ``EA``, one flash-mapped segment, and a second header ``E9`` behind it.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eol_inject.verify.flash import Flash, Reader
from eol_inject.verify.spec import Where

_V1: Final = 0xE9
_V2: Final = 0xEA
_V2_MARK: Final = 4
"""Where a version 2 image of ESP8266 has a segment count there stands this number."""
_HEAD: Final = 8
_EXTENDED_HEAD: Final = 24
_SEGMENT_HEAD: Final = 8
_MAX_SEGMENTS: Final = 16
_CHECKSUM_SEED: Final = 0xEF
_ALIGN: Final = 16
_SHA256: Final = 32
_CHUNK: Final = 0x10000
_RODATA: Final = (0x3C000000, 0x40000000)
"""Load addresses of constants on most chips; the others have them in their first segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: where its data stands in flash, and where it is loaded to."""

    address: int
    size: int
    load: int
    summed: bool = True
    """Whether the checksum counts it; the flash-mapped one of ESP8266 version 2 is left out."""

    @property
    def end(self) -> int:
        """The address behind its data."""
        return self.address + self.size


@dataclass(frozen=True, slots=True)
class Application:
    """An application's header and segments; ``why`` says why the segments end too early."""

    address: int
    chip_id: int | None
    hashed: bool
    version2: bool
    segments: tuple[Segment, ...]
    why: str = ""

    @property
    def whole(self) -> bool:
        """Whether every segment the header promises is there."""
        return not self.why

    @property
    def checksum_at(self) -> int:
        """Where the checksum stands: the last byte before a multiple of 16 from the start."""
        length = self.segments[-1].end - self.address
        return self.address + (length // _ALIGN + 1) * _ALIGN - 1

    def rodata_first(self) -> list[Segment]:
        """The segments, those with constants first."""
        low, high = _RODATA
        return sorted(self.segments, key=lambda segment: not low <= segment.load < high)


def read_application(flash: Flash, address: int, end: int, where: Where) -> Application | None:
    """The application at ``address`` before ``end``; None where none begins there."""
    size = _EXTENDED_HEAD if where.family == "esp32" else _HEAD
    head = flash.upto(address, size, end)
    if len(head) < size:
        return None
    version2 = where.family == "esp8266" and head[0] == _V2 and head[1] == _V2_MARK
    if not version2 and (head[0] != _V1 or not 1 <= head[1] <= _MAX_SEGMENTS):
        return None
    chip_id = struct.unpack_from("<H", head, 12)[0] if where.family == "esp32" else None
    hashed = where.family == "esp32" and head[23] == 1
    segments: list[Segment] = []
    why = ""
    try:
        for segment in _segments(flash, address + size, end, head[1], version2):
            segments.append(segment)  # noqa: PERF402  # what was read before the damage is kept
    except _BrokenError as broken:
        why = str(broken)
    return Application(address, chip_id, hashed, version2, tuple(segments), why)


class _BrokenError(Exception):
    """The segments do not go on as the header promises."""


def _segments(flash: Flash, at: int, end: int, count: int, version2: bool) -> Iterator[Segment]:
    if version2:
        first = _segment(flash, at, end, summed=False)
        yield first
        head = flash.upto(first.end, _HEAD, end)
        if len(head) < _HEAD or head[0] != _V1 or not 1 <= head[1] <= _MAX_SEGMENTS:
            raise _BrokenError("its second header is missing")
        at, count = first.end + _HEAD, head[1]
    for _ in range(count):
        segment = _segment(flash, at, end, summed=True)
        yield segment
        at = segment.end


def _segment(flash: Flash, at: int, end: int, *, summed: bool) -> Segment:
    head = flash.upto(at, _SEGMENT_HEAD, end)
    if len(head) < _SEGMENT_HEAD:
        raise _BrokenError("a segment lies behind its end")
    load, size = struct.unpack("<II", head)
    segment = Segment(at + _SEGMENT_HEAD, size, load, summed)
    if size % 4 or segment.end > min(end, flash.size):
        raise _BrokenError("a segment has no possible length")
    return segment


@dataclass(frozen=True, slots=True)
class Seal:
    """Whether the bootloader would take the image, from the unit's own bytes.

    ``hash_ok`` is SHA-256 on the ESP32 family, CRC-32 on ESP8266 version 2, None where the image
    carries neither. ``length`` in bytes, hash included; a signature may follow and is not counted.
    """

    checksum_ok: bool
    hash_ok: bool | None
    length: int
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.checksum_ok and self.hash_ok is not False


def check_seal(read: Reader, app_address: int, where: Where, *, end: int | None = None) -> Seal:
    """Checksum and hash of the application at ``app_address``, over every byte of it.

    ``end`` is the address behind its slot, where known. Reads the whole image: over a slow line
    compose the reader of proved spans (``composed``).
    """
    flash = Flash(read, end if end is not None else app_address + _LONGEST)
    app = read_application(flash, app_address, flash.size, where)
    if app is None:
        return Seal(False, None, 0, "no application begins there")
    if where.image_chip_id is not None and app.chip_id != where.image_chip_id:
        return Seal(False, None, 0, "the application is for another chip")
    if not app.whole or not app.segments:
        return Seal(False, None, 0, app.why or "the application has no segment")
    return _check(flash, app)


_LONGEST: Final = 16 * 1024 * 1024
"""What a boot loader can map."""


def _check(flash: Flash, app: Application) -> Seal:
    checksum, stored = _CHECKSUM_SEED, 0
    sha, crc = hashlib.sha256(), 0
    for at, chunk in _chunks(flash, app.address, app.checksum_at + 1):
        if app.hashed:
            sha.update(chunk)
        elif app.version2:
            crc = zlib.crc32(chunk, crc)
        for segment in app.segments:
            if segment.summed:
                checksum ^= _xor(chunk[max(0, segment.address - at) : max(0, segment.end - at)])
        stored = chunk[-1]
    length = app.checksum_at + 1 - app.address
    hash_ok = None
    if app.hashed:
        hash_ok = flash.read(app.checksum_at + 1, _SHA256) == sha.digest()
        length += _SHA256
    elif app.version2:
        hash_ok = struct.unpack("<I", flash.read(app.checksum_at + 1, 4))[0] == _esp8266(crc)
        length += 4
    why = "" if checksum == stored else "the checksum does not match"
    if hash_ok is False:
        why = why or "the hash does not match"
    return Seal(checksum == stored, hash_ok, length, why)


def _chunks(flash: Flash, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    for at in range(start, end, _CHUNK):
        yield at, flash.read(at, min(_CHUNK, end - at))


def _xor(data: bytes) -> int:
    """XOR of all bytes: fold the number in halves, which C does much faster than a loop."""
    value = int.from_bytes(data, "little")
    bits = 8 * (1 << max(0, len(data) - 1).bit_length())
    while bits > 8:  # noqa: PLR2004  # until one byte is left
        bits //= 2
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
    return value


def _esp8266(crc: int) -> int:
    """The CRC-32 of ESP8266's boot loader: esptool's ``esp8266_crc32``."""
    return crc ^ 0xFFFFFFFF if crc & 0x80000000 else crc + 1
