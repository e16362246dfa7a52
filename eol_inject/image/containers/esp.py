"""Espressif's application image, read from its segments: never from the end of the file.

Source: esptool 5.6.0 ``bin_image.py``, ESP-IDF "App Image Format" and ``esp_image_format.c``.

::

    ESP32 family   header 8 · extended header 16 · (segment header 8 · data)… · pad · checksum ·
                   SHA-256 where byte 23 says so
    ESP8266 "v1"   header 8 · (segment header 8 · data)… · pad · checksum
    ESP8266 "v2"   header EA 8 · segment header 8 · flash-mapped data · the same as "v1" · CRC-32

The checksum is the last byte before a 16-byte boundary. Padding or a signature may follow.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from eol_inject.chips import CHIPS, by_image_id
from eol_inject.errors import UsageError

MAGIC: Final = 0xE9
MAGIC_V2: Final = 0xEA
_HEADER: Final = 8
_EXTENDED: Final = 16
_SEGMENT_HEADER: Final = 8
_CHIP_ID_AT: Final = 12
_HASHED_AT: Final = 23
_MAX_SEGMENTS: Final = 16
_MAX_SEGMENT: Final = 16 * 1024 * 1024
_V2_MARK: Final = 4
_ESP8266_MEMORY: Final = range(0x3FFE8000, 0x40300000)
"""Load addresses of ESP8266; an ESP32 has its SPI pin settings where these stand."""


class Format(StrEnum):
    """How an application image is built."""

    ESP32 = "esp32"
    ESP8266_V1 = "esp8266 v1"
    ESP8266_V2 = "esp8266 v2"


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of the image; ``offset`` is where its data begins in the file."""

    offset: int
    size: int
    load_address: int
    summed: bool = True
    """Whether the checksum covers it (ESP8266 leaves the flash-mapped data of "v2" out)."""

    @property
    def end(self) -> int:
        """First byte after its data, in the file."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class EspImage:
    """One application (or boot) image inside ``data``; offsets count from the file's start."""

    data: bytes = field(repr=False)
    start: int
    format: Format
    chip_id: int | None
    """From the extended header; ESP8266 has none."""
    entry: int
    segments: tuple[Segment, ...]
    checksum_at: int
    digest_at: int | None
    """SHA-256 or CRC-32 of everything before it; None where the header says there is none."""
    end: int
    """First byte after the image: padding or a signature may stand there."""

    @property
    def chip(self) -> str | None:
        """The chip's name, or None for an id that ``chips`` has no row for."""
        if self.format is Format.ESP32:
            row = None if self.chip_id is None else by_image_id(self.chip_id)
            return row.name if row else None
        return "esp8266"

    @property
    def chip_words(self) -> str:
        """The chip for people."""
        name = self.chip
        return CHIPS[name].title if name else f"a chip with id {self.chip_id}"


def looks_like(data: bytes, start: int = 0) -> bool:
    """Whether an image may begin at ``start``."""
    return len(data) > start and data[start] in {MAGIC, MAGIC_V2}


def parse(data: bytes, start: int = 0, *, chip: str | None = None) -> EspImage:
    """The image that begins at ``start``, for ``chip`` where one is named.

    Raises ``UsageError``: ``image.not_an_image``, ``image.truncated``, ``image.bad_header``,
    ``image.segment_outside``, ``image.wrong_chip``.
    """
    if not looks_like(data, start):
        shown = data[start : start + 4].hex(" ") or "nothing"
        raise UsageError("image.not_an_image", start=shown)
    if data[start] == MAGIC_V2:
        image = _parse_v2(data, start)
    elif _word(data, start + _HEADER) in _ESP8266_MEMORY:
        image = _parse_v1(data, start)
    else:
        image = _parse_esp32(data, start)
    if chip is not None and image.chip != chip:
        wanted = CHIPS[chip].title
        raise UsageError("image.wrong_chip", found=image.chip_words, wanted=wanted)
    return image


def _parse_esp32(data: bytes, start: int) -> EspImage:
    first = start + _HEADER + _EXTENDED
    _need(data, first)
    hashed = data[start + _HASHED_AT]
    if hashed > 1:
        raise UsageError("image.bad_header", why=f"its SHA-256 mark is {hashed}, not 0 or 1")
    segments = tuple(_segments(data, first, _count(data, start)))
    checksum_at = _checksum_at(start, segments[-1].end)
    end = checksum_at + 1 + 32 * hashed
    _need(data, end)
    (chip_id,) = struct.unpack_from("<H", data, start + _CHIP_ID_AT)
    return EspImage(
        data=data,
        start=start,
        format=Format.ESP32,
        chip_id=chip_id,
        entry=_word(data, start + 4),
        segments=segments,
        checksum_at=checksum_at,
        digest_at=checksum_at + 1 if hashed else None,
        end=end,
    )


def _parse_v1(data: bytes, start: int) -> EspImage:
    segments = tuple(_segments(data, start + _HEADER, _count(data, start)))
    checksum_at = _checksum_at(start, segments[-1].end)
    _need(data, checksum_at + 1)
    return EspImage(
        data=data,
        start=start,
        format=Format.ESP8266_V1,
        chip_id=None,
        entry=_word(data, start + 4),
        segments=segments,
        checksum_at=checksum_at,
        digest_at=None,
        end=checksum_at + 1,
    )


def _parse_v2(data: bytes, start: int) -> EspImage:
    _need(data, start + _HEADER)
    if data[start + 1] != _V2_MARK:
        raise UsageError("image.bad_header", why=f"its second byte is {data[start + 1]}, not 4")
    (mapped,) = _segments(data, start + _HEADER, 1)
    inner = mapped.end
    _need(data, inner + _HEADER)
    if data[inner] != MAGIC:
        raise UsageError("image.bad_header", why=f"no second header at {inner:#x}")
    rest = tuple(_segments(data, inner + _HEADER, _count(data, inner)))
    checksum_at = _checksum_at(start, rest[-1].end)
    _need(data, checksum_at + 5)
    return EspImage(
        data=data,
        start=start,
        format=Format.ESP8266_V2,
        chip_id=None,
        entry=_word(data, inner + 4),
        segments=(Segment(mapped.offset, mapped.size, mapped.load_address, summed=False), *rest),
        checksum_at=checksum_at,
        digest_at=checksum_at + 1,
        end=checksum_at + 5,
    )


def _count(data: bytes, header: int) -> int:
    _need(data, header + _HEADER)
    count = data[header + 1]
    if not 1 <= count <= _MAX_SEGMENTS:
        raise UsageError("image.bad_header", why=f"it counts {count} segments, not 1 to 16")
    return count


def _segments(data: bytes, at: int, count: int) -> Iterator[Segment]:
    for index in range(count):
        _need(data, at + _SEGMENT_HEADER)
        address, size = struct.unpack_from("<II", data, at)
        at += _SEGMENT_HEADER
        if size >= _MAX_SEGMENT or at + size > len(data):
            raise UsageError("image.segment_outside", segment=index, end=at + size, size=len(data))
        if size % 4:
            raise UsageError("image.bad_header", why=f"segment {index} has {size} bytes, not n x 4")
        yield Segment(at, size, address)
        at += size


def _checksum_at(start: int, end: int) -> int:
    return start + ((end - start) | 15)


def _word(data: bytes, at: int) -> int:
    _need(data, at + 4)
    return int.from_bytes(data[at : at + 4], "little")


def _need(data: bytes, end: int) -> None:
    if end > len(data):
        raise UsageError("image.truncated", need=end, size=len(data))
