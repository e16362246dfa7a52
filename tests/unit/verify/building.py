"""Flash contents for the readers' tests, put together by hand from the reference sheets.

Nothing here comes from the package: what the readers are tested against is a third hand.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Mapping, Sequence

from esp_idf_nvs_partition_gen import nvs_partition_gen as gen

from eol_inject.unit import AuthToken, Identifier, Unit

TOKEN = "AbCdEfGhIjKlMnOpQrStUvWxYz01-_23"
OTHER = "zYxWvUtSrQpOnMlKjIhGfEdCbA98-_76"
AUTH, OTHER_AUTH = AuthToken(TOKEN), AuthToken(OTHER)
UNIT = Unit(Identifier("mac", "24:0a:c4:00:00:01"))
OTHER_UNIT = Unit(Identifier("mac", "24:0a:c4:00:00:02"))

FLASH = 4 * 1024 * 1024
PLACEHOLDER = "Placeholder" * 24
STOCK = b"blnkopt\0ssid\0" + PLACEHOLDER.encode() + b"\0host\0blynk.cloud\0port\x00443\0" + b"\0\0"


def region(pairs: Sequence[tuple[str, str]], size: int = len(STOCK)) -> bytes:
    """A rewritten ``blnkopt``: the pairs in order, the rest NUL."""
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in pairs)
    return (b"blnkopt\0" + body).ljust(size, b"\0")


def filled(token: str = TOKEN) -> bytes:
    """The region as the shipped profiles have it written."""
    return region([("ssid", ""), ("auth", token), ("host", "blynk.cloud"), ("port", "443")])


def esp32_app(
    constant: bytes, *, before: int = 0x120, chip_id: int = 5, hashed: bool = True
) -> tuple[bytes, int]:
    """An ESP32-family image with ``constant`` among its rodata, and the constant's offset."""
    rodata = bytes(i % 251 for i in range(before)) + constant + b"more"
    rodata += b"\0" * (-len(rodata) % 4)
    segments = [
        (0x3C000020, rodata),
        (0x4037C000, b"\x13\0\0\0" * 512),
        (0x42000020, b"code" * 900),
    ]
    head = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x20, 0x4037C000)
    head += struct.pack("<BBBBHBHH4xB", 0xEE, 0, 0, 0, chip_id, 0, 0, 0xFFFF, hashed)
    image = bytearray(head)
    checksum = 0xEF
    for load, data in segments:
        image += struct.pack("<II", load, len(data)) + data
        for byte in data:
            checksum ^= byte
    image += b"\0" * (15 - len(image) % 16) + bytes([checksum])
    if hashed:
        image += hashlib.sha256(image).digest()
    return bytes(image), 24 + 8 + before


def table(rows: Sequence[tuple[int, int, int, int, str]], *, md5: bool = True) -> bytes:
    """A partition table of (type, subtype, address, size, label)."""
    data = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, sub, at, size, label.encode(), 0)
        for kind, sub, at, size, label in rows
    )
    if md5:
        data += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(data, usedforsecurity=False).digest()
    return data.ljust(0xC00, b"\xff")


ROWS = [
    (1, 2, 0x9000, 0x5000, "nvs"),
    (1, 0, 0xE000, 0x2000, "otadata"),
    (0, 0x10, 0x10000, 0x140000, "ota_0"),
    (0, 0x11, 0x150000, 0x140000, "ota_1"),
]


def ota_record(sequence: int, state: int = 0xFFFFFFFF) -> bytes:
    """One record of otadata."""
    word = struct.pack("<I", sequence)
    return word + b"\xff" * 20 + struct.pack("<II", state, zlib.crc32(word, 0xFFFFFFFF))


def config(token: str = TOKEN, *, flags: int = 1, magic: int = 0x626C6E6B) -> bytes:
    """Classic Edgent's struct, 212 bytes."""
    return struct.pack(
        "<I15sB34s64s34s34sH5Ii",
        magic, b"1.0.0", flags, b"net", b"wifi-password", token.encode(), b"blynk.cloud", 443,
        0, 0, 0, 0, 0, 0,
    )  # fmt: skip


def nvs(
    namespaces: Mapping[str, Sequence[tuple[str, str, str | bytes]]],
    *,
    size: int = 0x5000,
    version: int = 2,
) -> bytes:
    """An NVS partition by Espressif's own generator: namespace → (key, encoding, value)."""
    out = io.BytesIO()
    wanted = gen.Page.VERSION2 if version == 2 else gen.Page.VERSION1
    made = gen.nvs_open(out, size - 0x1000, wanted)
    for namespace, entries in namespaces.items():
        gen.write_entry(made, namespace, "namespace", "", "")
        for key, encoding, value in entries:
            if encoding == "blob":
                text = value.hex() if isinstance(value, bytes) else value
                gen.write_entry(made, key, "data", "hex2bin", text)
            else:
                gen.write_entry(made, key, "data", encoding, value)
    gen.nvs_close(made)
    return out.getvalue().ljust(size, b"\xff")


def flash(parts: Mapping[int, bytes], size: int = FLASH) -> bytearray:
    """An erased flash with some parts in it."""
    memory = bytearray(b"\xff" * size)
    for address, data in parts.items():
        memory[address : address + len(data)] = data
    return memory


class Wire:
    """A reader over ``memory`` that counts what was asked of it."""

    def __init__(self, memory: bytes | bytearray) -> None:
        self.memory = memory
        self.bytes = 0
        self.reads: list[tuple[int, int]] = []

    def __call__(self, address: int, size: int) -> bytes:
        """As the readers call it."""
        self.bytes += size
        self.reads.append((address, size))
        return bytes(self.memory[address : address + size])
