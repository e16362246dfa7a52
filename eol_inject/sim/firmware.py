"""What the application does first: the classic Edgent looks for its token, stale NVS before region.

No firmware runs here. These few steps are those of the Blynk library (blynk.md): configuration
saved in NVS (EEPROM on ESP8266) wins over the ``blnkopt`` region of the image. The readers are the
simulation's own: nothing is shared with ``image`` or ``verify``.
"""

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from eol_inject.chips import SECTOR

_TAG: Final = b"blnkopt\0"
_MAGIC: Final = 0x626C6E6B
_CONFIG_SIZE: Final = 212
_TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]{32}")
_ENTRY: Final = 32
_ENTRIES: Final = 126
_WRITTEN: Final = 0b10
_STRING, _BLOB, _CHUNK, _INDEX = 0x21, 0x41, 0x42, 0x48


@dataclass(frozen=True, slots=True)
class Found:
    """Where the application found its token."""

    region: str
    """``filled``, ``blank`` or ``absent``."""
    source: str
    """``nvs``, ``region`` or ``none``."""
    token: bytes

    def lines(self, *, leak: bool) -> list[str]:
        """What it says on the console; the token itself only where a test asks for it."""
        said = [f"[fixture] region: {self.region}", f"INFO: token from {self.source}"]
        if self.token:
            said.append(f"token-id: {hashlib.sha256(self.token).hexdigest()[:8]}")
            if leak:
                said.append(f"[fixture] token: {self.token.decode('ascii')}")
        return said


def start(image: bytes, config: bytes) -> Found:
    """Decide as the firmware would, from the running image and its NVS (or EEPROM sector)."""
    keys = _region(image)
    in_region = keys.get(b"auth", b"") if keys and b"ssid" in keys else b""
    region = "absent" if keys is None else "filled" if _TOKEN.fullmatch(in_region) else "blank"
    stored = eeprom_token(config) if len(config) <= SECTOR else nvs_token(config)
    for source, token in (("nvs", stored), ("region", in_region)):
        if _TOKEN.fullmatch(token):
            return Found(region, source, token)
    return Found(region, "none", b"")


def _region(image: bytes) -> dict[bytes, bytes] | None:
    """Keys and values behind the tag, up to the first empty key; None where there is no region."""
    at = image.find(_TAG)
    if at < 0:
        return None
    words = image[at + len(_TAG) : at + 1024].split(b"\0")
    keys: dict[bytes, bytes] = {}
    for key, value in zip(words[::2], words[1::2], strict=False):
        if not key:
            break
        keys[key] = value
    return keys


def eeprom_token(sector: bytes) -> bytes:
    """The token of a valid configuration struct at offset 0, else nothing."""
    return _from_config(sector[:_CONFIG_SIZE])


def config_of(auth: str, host: str, ssid: str, password: str) -> bytes:
    """Classic Edgent's configuration struct, valid (ConfigStore.h)."""
    head = struct.pack("<I15sB34s64s", _MAGIC, b"0.1.0", 1, ssid.encode(), password.encode())
    return head + struct.pack("<34s34sH20xi", auth.encode(), host.encode(), 443, 0)


def nvs_of(values: dict[str, str | bytes], size: int) -> bytes:
    """An NVS partition with ``values`` in the namespace ``blynk``: one page of it.

    Source: ESP-IDF "Non-Volatile Storage Library, Internals", version 2 pages. A test compares it
    with Espressif's own writer; the unit's process has the standard library only.
    """
    entries = [_entry(0, 0x01, 1, "blynk", b"\x01" + b"\xff" * 7)]
    for key, value in values.items():
        blob = isinstance(value, bytes)
        data = value if isinstance(value, bytes) else value.encode() + b"\0"
        rows = -(-len(data) // _ENTRY)
        about = struct.pack("<HHI", len(data), 0xFFFF, zlib.crc32(data, 0xFFFFFFFF))
        entries.append(_entry(1, _CHUNK if blob else _STRING, 1 + rows, key, about))
        entries.append(data.ljust(rows * _ENTRY, b"\xff"))
        if blob:
            index = struct.pack("<IBBH", len(data), 1, 0, 0xFFFF)
            entries.append(_entry(1, _INDEX, 1, key, index))
    body = b"".join(entries)
    used = len(body) // _ENTRY
    states = ((1 << 2 * 128) - 1) & ~sum(0b01 << 2 * number for number in range(used))
    head = struct.pack("<IB", 0, 0xFE) + b"\xff" * 19
    page = struct.pack("<I", 0xFFFFFFFE) + head
    page += struct.pack("<I", zlib.crc32(head, 0xFFFFFFFF)) + states.to_bytes(32, "little") + body
    return page.ljust(size, b"\xff")


def _entry(namespace: int, kind: int, span: int, key: str, data: bytes) -> bytes:
    head = bytes((namespace, kind, span, 0 if kind == _CHUNK else 0xFF))
    tail = key.encode().ljust(16, b"\0") + data
    return head + struct.pack("<I", zlib.crc32(head + tail, 0xFFFFFFFF)) + tail


def nvs_token(partition: bytes) -> bytes:
    """The token in namespace ``blynk``: the classic ``config`` blob, or the newer ``auth``."""
    pages = [partition[at : at + SECTOR] for at in range(0, len(partition), SECTOR)]
    live = [page for page in pages if page[:4] in (b"\xfe\xff\xff\xff", b"\xfc\xff\xff\xff")]
    live.sort(key=lambda page: int.from_bytes(page[4:8], "little"))
    namespaces: set[int] = set()
    token = b""
    for page in live:
        for entry, content in _entries(page):
            if entry[0] == 0 and _key(entry) == b"blynk":
                namespaces.add(entry[24])
            elif entry[0] not in namespaces:
                continue
            elif _key(entry) == b"config" and entry[1] in (_BLOB, _CHUNK):
                token = _from_config(content) or token
            elif _key(entry) == b"auth" and entry[1] == _STRING:
                token = content.split(b"\0")[0]
    return token


def _entries(page: bytes) -> list[tuple[bytes, bytes]]:
    """Written entries of one page with the content that follows them."""
    states = int.from_bytes(page[32:64], "little")
    found = []
    number = 0
    while number < _ENTRIES:
        at = 64 + number * _ENTRY
        entry = page[at : at + _ENTRY]
        if states >> 2 * number & 0b11 != _WRITTEN:
            number += 1
            continue
        span = max(entry[2], 1)
        size = int.from_bytes(entry[24:26], "little") if entry[1] >= _STRING else 0
        found.append((entry, page[at + _ENTRY : at + _ENTRY + size]))
        number += span
    return found


def _key(entry: bytes) -> bytes:
    return entry[8:24].split(b"\0")[0]


def _from_config(blob: bytes) -> bytes:
    if len(blob) < _CONFIG_SIZE:
        return b""
    (magic,) = struct.unpack_from("<I", blob)
    if magic != _MAGIC or not blob[19] & 1:
        return b""
    return blob[118:152].split(b"\0")[0]
