"""Small true images and partition tables, put together by hand for what starts a simulated unit."""

import binascii
import hashlib
import struct
import zlib
from functools import reduce

BLANK = b"blnkopt\0ssid\0" + b"Placeholder" * 24 + b"\0host\0blynk.cloud\0port\x00443\0\0"
TOKEN = b"A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6"


def filled(token: bytes = TOKEN) -> bytes:
    """A region of the same size as ``BLANK`` that holds ``token``."""
    return (b"blnkopt\0ssid\0\0auth\0" + token + b"\0").ljust(len(BLANK), b"\0")


def _sum(data: bytes) -> int:
    return reduce(lambda total, byte: total ^ byte, data, 0xEF)


def esp32_image(chip_id: int, content: bytes = b"", *, hashed: bool = True) -> bytes:
    """One segment around ``content``, with its checksum, and its SHA-256 where ``hashed``."""
    content += b"\0" * (-len(content) % 4)
    head = struct.pack("<BBBBI", 0xE9, 1, 0, 0, 0x40380000)
    extended = struct.pack("<B3xH9xB", 0, chip_id, hashed)
    raw = head + extended + struct.pack("<II", 0x3C000020, len(content)) + content
    raw += b"\0" * (15 - len(raw) % 16) + bytes((_sum(content),))
    return raw + hashlib.sha256(raw).digest() if hashed else raw


def esp8266_v1(content: bytes = b"boot") -> bytes:
    """A version 1 image around ``content``."""
    content += b"\0" * (-len(content) % 4)
    raw = struct.pack("<BBBBI", 0xE9, 1, 0, 0, 0x40100000)
    raw += struct.pack("<II", 0x40100000, len(content)) + content
    return raw + b"\0" * (15 - len(raw) % 16) + bytes((_sum(content),))


def esp8266_v2(mapped: bytes, content: bytes = b"code") -> bytes:
    """A version 2 image: ``mapped`` stays in flash, ``content`` is loaded; CRC-32 at the end."""
    mapped += b"\0" * (-len(mapped) % 16)
    raw = struct.pack("<BBBBI", 0xEA, 4, 0, 0, 0x40100000) + struct.pack("<II", 0, len(mapped))
    raw += mapped + struct.pack("<BBBBI", 0xE9, 1, 0, 0, 0x40100000)
    raw += struct.pack("<II", 0x40100000, len(content)) + content
    raw += b"\0" * (15 - len(raw) % 16) + bytes((_sum(content),))
    crc = binascii.crc32(raw)
    return raw + struct.pack("<I", crc ^ 0xFFFFFFFF if crc & 0x80000000 else crc + 1)


def partitions(*rows: tuple[int, int, int, int, str]) -> bytes:
    """A table of (type, subtype, offset, size, label), with its MD5."""
    raw = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, sub, at, size, label.encode(), 0)
        for kind, sub, at, size, label in rows
    )
    end = b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(raw, usedforsecurity=False).digest()
    return (raw + end).ljust(0xC00, b"\xff")


OTA_TABLE = partitions(
    (1, 2, 0x9000, 0x5000, "nvs"),
    (1, 0, 0xE000, 0x2000, "otadata"),
    (0, 0x10, 0x10000, 0x10000, "app0"),
    (0, 0x11, 0x20000, 0x10000, "app1"),
)


def otadata(number: int, state: int = 0xFFFFFFFF) -> bytes:
    """One sector of otadata that chooses slot ``(number - 1) mod slots``."""
    raw = struct.pack("<I", number)
    return (raw + b"\xff" * 20 + struct.pack("<II", state, zlib.crc32(raw, 0xFFFFFFFF))).ljust(
        0x1000, b"\xff"
    )


def config_blob(token: bytes, *, valid: bool = True) -> bytes:
    """The classic Edgent's saved configuration, 212 bytes."""
    return struct.pack(
        "<I15sB34s64s34s34sH5Ii",
        0x626C6E6B, b"0.1.0", int(valid), b"wifi", b"pass", token, b"blynk.cloud", 443,
        0, 0, 0, 0, 0, 0,
    )  # fmt: skip
