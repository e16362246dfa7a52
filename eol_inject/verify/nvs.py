"""Reads an NVS partition: namespaces, strings, integers, blobs of both versions (nvs.md).

Of several written entries of a key the newest counts: pages by sequence number, entries by place.
An update writes the new entry first and erases the old one after, so a power cut leaves both.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from eol_inject.verify.flash import Flash
from eol_inject.verify.nvs_page import (
    BLOB_V1,
    CHUNK,
    FIRST_ENTRY,
    INDEX,
    INTEGERS,
    PAGE,
    STRING,
    U8,
    Entry,
    Page,
    PageState,
    read_page,
    used_bytes,
)

_NAMESPACES: Final = 0
"""The namespace index that defines namespaces."""
_NO_CHUNK: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Nvs:
    """What an NVS partition holds.

    ``encrypted``: a page in use is ciphertext, so anything may be missing here. ``torn``: a page
    has a version that no firmware we know reads.
    """

    encrypted: bool
    torn: bool
    pages: int
    """Pages in use."""
    _entries: tuple[Entry, ...] = field(repr=False)
    _names: dict[str, int]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Names of the namespaces that hold at least one entry, sorted."""
        used = {entry.namespace for entry in self._entries}
        return tuple(sorted(name for name, index in self._names.items() if index in used))

    def keys(self, namespace: str) -> tuple[str, ...]:
        """Keys of a namespace, sorted."""
        return tuple(sorted({entry.key for entry in self._of(namespace)}))

    def string(self, namespace: str, key: str) -> bytes | None:
        """A string without its NUL, or None."""
        entry = self._newest(namespace, key, {STRING})
        return None if entry is None else entry.data.split(b"\0", 1)[0]

    def integer(self, namespace: str, key: str) -> int | None:
        """An integer of any width, or None."""
        entry = self._newest(namespace, key, set(INTEGERS))
        if entry is None:
            return None
        return int(struct.unpack_from(INTEGERS[entry.type], entry.data)[0])

    def blob(self, namespace: str, key: str) -> bytes | None:
        """A blob: by its newest index, else of version 1. None where a chunk is missing.

        An index without all of its chunks is what a power cut leaves; the firmware drops it too.
        """
        index = self._newest(namespace, key, {INDEX})
        if index is None:
            old = self._newest(namespace, key, {BLOB_V1})
            return None if old is None else old.data
        size, count, first = struct.unpack_from("<IBB", index.data)
        chunks = {e.chunk: e.data for e in self._of(namespace, key) if e.type == CHUNK}
        wanted = range(first, first + count)
        if any(number not in chunks for number in wanted):
            return None
        data = b"".join(chunks[number] for number in wanted)
        return data if len(data) == size else None

    def _of(self, namespace: str, key: str | None = None) -> Iterable[Entry]:
        """Entries, oldest first."""
        index = self._names.get(namespace)
        return (
            entry
            for entry in self._entries
            if entry.namespace == index and (key is None or entry.key == key)
        )

    def _newest(self, namespace: str, key: str, types: set[int]) -> Entry | None:
        newest = None
        for entry in self._of(namespace, key):
            if entry.type in types and entry.chunk == _NO_CHUNK:
                newest = entry
        return newest


def parse(data: bytes) -> Nvs:
    """An NVS partition's bytes. Any bytes give a result; a last part of a page is left out."""
    pages = [read_page(data[at : at + PAGE]) for at in range(0, len(data) - PAGE + 1, PAGE)]
    states = [page.state for page in pages]
    live = [page for page in pages if page.entries]
    entries = [entry for page in sorted(live, key=lambda p: p.sequence) for entry in page.entries]
    return Nvs(
        encrypted=PageState.ENCRYPTED in states,
        torn=PageState.UNKNOWN_VERSION in states,
        pages=sum(_in_use(page) for page in pages),
        _entries=tuple(entry for entry in entries if entry.namespace != _NAMESPACES),
        _names=_names(entries),
    )


def read_partition(flash: Flash, address: int, size: int) -> Nvs:
    """The partition at ``address``, reading of each page only what is in use."""
    data = bytearray(b"\xff" * (size - size % PAGE))
    for at in range(0, len(data), PAGE):
        head = flash.read(address + at, FIRST_ENTRY)
        used = used_bytes(head)
        rest = flash.read(address + at + FIRST_ENTRY, used - FIRST_ENTRY)
        data[at : at + used] = head + rest
    return parse(bytes(data))


def _in_use(page: Page) -> bool:
    return page.state not in {PageState.EMPTY, PageState.CORRUPT}


def _names(entries: Iterable[Entry]) -> dict[str, int]:
    """Namespace name → index; of two definitions the firmware takes the first."""
    names: dict[str, int] = {}
    for entry in entries:
        if entry.namespace == _NAMESPACES and entry.type == U8:
            names.setdefault(entry.key, entry.data[0])
    return names
