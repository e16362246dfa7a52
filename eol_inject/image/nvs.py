"""ESP-IDF's key-value store, as far as writing one needs: what is in it, and a new one.

``esp-idf-nvs-partition-gen`` writes; it has no reader, so the entries to keep are read here.
Source of the format: ESP-IDF "Non-Volatile Storage Library, Internals".
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from eol_inject.errors import UsageError

_PAGE: Final = 4096
_ENTRY: Final = 32
_ENTRIES: Final = 126
_FIRST: Final = 64
_KEY: Final = 15
_EMPTY: Final = 0xFFFFFFFF
_IN_USE: Final = frozenset({0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8})
_WRITTEN: Final = 0b10
_V1, _V2 = 0xFF, 0xFE
_NUMBERS: Final = {
    0x01: "u8", 0x02: "u16", 0x04: "u32", 0x08: "u64",
    0x11: "i8", 0x12: "i16", 0x14: "i32", 0x18: "i64",
}  # fmt: skip
_STRING, _BLOB, _CHUNK, _INDEX = 0x21, 0x41, 0x42, 0x48


@dataclass(frozen=True, slots=True)
class Item:
    """One key of a store."""

    namespace: str
    key: str
    type: str
    """``u8`` … ``i64``, ``string`` or ``blob``."""
    value: int | bytes = field(repr=False)
    """A string's bytes without its NUL."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One written entry as it stands, with the bytes that follow it."""

    namespace: int
    type: int
    chunk: int
    key: str
    data: bytes
    content: bytes


def write(items: Iterable[Item], size: int, *, version: int = 2) -> bytes:
    """A partition of ``size`` bytes with ``items``, one page left free, the same every time.

    Raises ``UsageError("image.nvs_full")``.
    """
    from esp_idf_nvs_partition_gen.nvs_partition_gen import (
        InsufficientSizeError,
        Page,
        nvs_close,
        nvs_open,
    )

    out = io.BytesIO()
    form = Page.VERSION1 if version == 1 else Page.VERSION2
    store = nvs_open(out, size - _PAGE, form)
    items = sorted(items, key=lambda item: (item.namespace, item.key))
    try:
        for item in items:
            store.write_namespace(item.namespace)
            encoding = "binary" if item.type == "blob" else item.type
            # The module's own write_entry() adds entries of its own beside some WiFi keys.
            store.write_entry(item.key, item.value, encoding, store.get_namespace_idx())
    except InsufficientSizeError:
        raise UsageError("image.nvs_full", count=len(items), size=size) from None
    nvs_close(store)
    return out.getvalue()


def version_of(data: bytes) -> int:
    """1 or 2: that of the first page in use; 2 where there is none."""
    for page in _pages(data):
        return 1 if page[8] == _V1 else 2
    return 2


def read(data: bytes) -> list[Item]:
    """Every item of the store that ``data`` is.

    Raises ``UsageError("image.nvs_unreadable")`` for torn and for encrypted ones: what cannot be
    read cannot be kept.
    """
    if len(data) % _PAGE:
        raise UsageError("image.nvs_unreadable", why=f"{len(data)} bytes are no whole pages")
    entries = [entry for page in _pages(data) for entry in _entries(page)]
    names = {e.data[0]: e.key for e in entries if e.namespace == 0}
    chunks = {(e.namespace, e.key, e.chunk): e for e in entries if e.type == _CHUNK}
    newest = {(e.namespace, e.key): e for e in entries if e.namespace and e.type != _CHUNK}
    if not {e.namespace for e in entries} <= {0, *names}:
        raise UsageError("image.nvs_unreadable", why="an entry has no namespace")
    if len(set(names.values())) < len(names):
        raise UsageError("image.nvs_unreadable", why="two namespaces have one name")
    return [_item(entry, names[entry.namespace], chunks) for entry in newest.values()]


def _pages(data: bytes) -> Iterator[bytes]:
    """Pages in use, oldest first."""
    found = []
    for at in range(0, len(data), _PAGE):
        page = data[at : at + _PAGE]
        state, number = struct.unpack_from("<II", page)
        if state == _EMPTY:
            continue
        sound = _crc(page[4:28]) == page[28:32] and page[8] in {_V1, _V2}
        if state not in _IN_USE or not sound:
            raise UsageError("image.nvs_unreadable", why=f"the page at {at:#x} is damaged")
        found.append((number, page))
    yield from (page for _, page in sorted(found))


def _entries(page: bytes) -> Iterator[_Entry]:
    index = 0
    while index < _ENTRIES:
        state = page[32 + index // 4] >> (index % 4 * 2) & 3
        if state != _WRITTEN:
            index += 1
            continue
        at = _FIRST + index * _ENTRY
        raw = page[at : at + _ENTRY]
        namespace, kind, span, chunk = raw[:4]
        if _crc(raw[:4] + raw[8:]) != raw[4:8] or not 1 <= span <= _ENTRIES - index:
            raise UsageError("image.nvs_unreadable", why="an entry is damaged, or it is encrypted")
        key = raw[8:24].rstrip(b"\0")
        if not key or len(key) > _KEY or not key.isascii() or b"\0" in key:
            raise UsageError("image.nvs_unreadable", why="a key is no text")
        content = page[at + _ENTRY : at + span * _ENTRY]
        yield _Entry(namespace, kind, chunk, key.decode("ascii"), raw[24:], content)
        index += span


def _item(entry: _Entry, namespace: str, chunks: dict[tuple[int, str, int], _Entry]) -> Item:
    if entry.type in _NUMBERS:
        name = _NUMBERS[entry.type]
        width = int(name[1:]) // 8
        number = int.from_bytes(entry.data[:width], "little", signed=name[0] == "i")
        return Item(namespace, entry.key, name, number)
    if entry.type == _INDEX:
        size, count, first = struct.unpack_from("<IBB", entry.data)
        pieces = [chunks.get((entry.namespace, entry.key, first + n)) for n in range(count)]
        value = b"".join(_content(piece) for piece in pieces if piece is not None)
        if len(value) != size:
            raise UsageError("image.nvs_unreadable", why="a blob is incomplete")
        return Item(namespace, entry.key, "blob", value)
    if entry.type == _BLOB:
        return Item(namespace, entry.key, "blob", _content(entry))
    if entry.type == _STRING:
        return Item(namespace, entry.key, "string", _text(_content(entry)))
    raise UsageError("image.nvs_unreadable", why=f"an entry has the unknown type {entry.type:#x}")


def _content(entry: _Entry) -> bytes:
    (size,) = struct.unpack_from("<H", entry.data)
    content = entry.content[:size]
    if len(content) != size or _crc(content) != entry.data[4:8]:
        raise UsageError("image.nvs_unreadable", why="a value is damaged, or it is encrypted")
    return content


def _text(content: bytes) -> bytes:
    """A string without its NUL; only what the writer would write again byte for byte."""
    body = content[:-1]
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("image.nvs_unreadable", why="a string is no text") from None
    if content[-1:] != b"\0" or b"\0" in body:
        raise UsageError("image.nvs_unreadable", why="a string does not end where it should")
    return body


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data, 0xFFFFFFFF).to_bytes(4, "little")
