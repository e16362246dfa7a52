"""What the Arduino build for ESP8266 makes: its boot loader and the sketch in one file for 0x0.

Source: ESP8266 Arduino core, ``tools/elf2bin.py``: eboot as a "version 1" image, AA up to 4088, the
file's size and a CRC-32 (most significant bit first) of it with these 8 bytes zero, and at 0x1000
the sketch, a "version 1" image with its flash-mapped data as first segment. Only a sketch that asks
looks at the CRC, so a file without one is as good.
"""

import zlib
from typing import Final

from eol_inject.image.containers import esp
from eol_inject.image.containers.esp import EspImage, Format

SKETCH_AT: Final = 0x1000
_SIZE_AT: Final = 4088
_CRC_AT: Final = 4092
_PAD: Final = 0xAA
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def parse(data: bytes) -> tuple[EspImage, EspImage] | None:
    """Boot loader and sketch; None where the file is something else.

    Raises ``UsageError`` for a sketch that is cut off or damaged: see ``esp.parse``.
    """
    if not (esp.looks_like(data) and data[SKETCH_AT : SKETCH_AT + 1] == bytes([esp.MAGIC])):
        return None
    boot = esp.parse(data)
    if boot.format is not Format.ESP8266_V1 or set(data[boot.end : _SIZE_AT]) != {_PAD}:
        return None
    return boot, esp.parse(data, SKETCH_AT)


def crc_valid(data: bytes) -> bool | None:
    """Whether the file's own CRC is right; None where it has none."""
    if int.from_bytes(data[_SIZE_AT:_CRC_AT], "little") != len(data):
        return None
    return data[_CRC_AT:SKETCH_AT] == _crc(data)


def with_crc(data: bytes) -> bytes:
    """``data`` with its CRC right again."""
    return data[:_CRC_AT] + _crc(data) + data[SKETCH_AT:]


def _crc(data: bytes) -> bytes:
    """As zlib computes it, on bytes whose bits are turned round."""
    blanked = data[:_SIZE_AT] + bytes(8) + data[SKETCH_AT:]
    value = zlib.crc32(blanked.translate(_REVERSED)) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2).to_bytes(4, "little")
