"""One page of NVS: header, entry-state bitmap, 126 entries (nvs.md; ESP-IDF nvs_page.cpp).

The page is read as the firmware's own loader reads it: an entry counts only if the bitmap says
written and its CRC holds, an entry with data only if all of its data is marked written and the
data's CRC holds too.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from eol_inject.verify.flash import is_erased

PAGE: Final = 4096
HEADER: Final = 32
ENTRY: Final = 32
FIRST_ENTRY: Final = 64
ENTRIES: Final = 126

U8: Final = 0x01
STRING: Final = 0x21
BLOB_V1: Final = 0x41
CHUNK: Final = 0x42
INDEX: Final = 0x48
INTEGERS: Final = {
    0x01: "<B", 0x02: "<H", 0x04: "<I", 0x08: "<Q",
    0x11: "<b", 0x12: "<h", 0x14: "<i", 0x18: "<q",
}  # fmt: skip
_WITH_DATA: Final = frozenset({STRING, BLOB_V1, CHUNK})

_VERSIONS: Final = frozenset({0xFF, 0xFE})
_WRITTEN: Final = 0b10
_EMPTY: Final = 0b11


class PageState(Enum):
    """What the header says; ENCRYPTED and UNKNOWN_VERSION are our reading of it."""

    EMPTY = 0xFFFFFFFF
    ACTIVE = 0xFFFFFFFE
    FULL = 0xFFFFFFFC
    FREEING = 0xFFFFFFF8
    CORRUPT = 0
    ENCRYPTED = "encrypted"
    UNKNOWN_VERSION = "unknown version"


_LIVE: Final = {
    state.value: state for state in (PageState.ACTIVE, PageState.FULL, PageState.FREEING)
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One written entry. ``data`` is its 8-byte field, or the content that follows it."""

    namespace: int
    type: int
    chunk: int
    key: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """One page; ``entries`` in the order written."""

    state: PageState
    sequence: int
    entries: tuple[Entry, ...]


def crc(data: bytes) -> int:
    """CRC-32 as NVS counts it: the zlib polynomial, started from all ones."""
    return zlib.crc32(data, 0xFFFFFFFF)


def used_bytes(head: bytes) -> int:
    """How much of a page matters, from its first 64 bytes: up to the last entry in use."""
    if is_erased(head[:HEADER]):
        return len(head)
    states = list(_states(head))
    last = max((i for i, state in enumerate(states) if state != _EMPTY), default=-1)
    return FIRST_ENTRY + ENTRY * (last + 1)


def read_page(page: bytes) -> Page:
    """A page of 4,096 bytes. Any bytes give a page; damage shows in ``state`` or is left out."""
    state_word, sequence = struct.unpack_from("<II", page)
    state = _LIVE.get(state_word)
    if is_erased(page[:HEADER]):
        return Page(PageState.EMPTY, 0, ())
    if state is None or crc(page[4:28]) != struct.unpack_from("<I", page, 28)[0]:
        return Page(PageState.CORRUPT, 0, ())
    if page[8] not in _VERSIONS:
        return Page(PageState.UNKNOWN_VERSION, sequence, ())
    found = list(_entries(page, state))
    good = tuple(entry for entry in found if entry is not None)
    if found and all(entry is None for entry in found) and not _any_crc_holds(page):
        return Page(PageState.ENCRYPTED, sequence, ())
    return Page(state, sequence, good)


def _states(page: bytes) -> Iterator[int]:
    for i in range(ENTRIES):
        yield page[HEADER + i // 4] >> (i % 4 * 2) & 0b11


def _entries(page: bytes, state: PageState) -> Iterator[Entry | None]:
    """The entries marked written; None for one that does not hold together.

    On the active page the loader stops at the first empty entry: what is marked written behind it
    is the rest of a write that lost its power.
    """
    states = list(_states(page))
    end = states.index(_EMPTY) if state is PageState.ACTIVE and _EMPTY in states else ENTRIES
    i = 0
    while i < end:
        if states[i] != _WRITTEN:
            i += 1
            continue
        raw = _raw(page, i)
        if not _crc_holds(raw):
            yield None
            i += 1
            continue
        span = raw[2] if raw[1] in _WITH_DATA else 1
        if span == 0 or i + span > ENTRIES:
            yield None
            i += 1
            continue
        whole = all(s == _WRITTEN for s in states[i : i + span])
        yield _entry(page, i, span) if whole else None
        i += span


def _entry(page: bytes, index: int, span: int) -> Entry | None:
    raw = _raw(page, index)
    namespace, kind, _, chunk = raw[:4]
    key = raw[8:24].split(b"\0", 1)[0][:15].decode("latin-1")
    if kind not in _WITH_DATA:
        return Entry(namespace, kind, chunk, key, raw[24:32])
    size, _, data_crc = struct.unpack_from("<HHI", raw, 24)
    start = FIRST_ENTRY + ENTRY * (index + 1)
    data = page[start : start + ENTRY * (span - 1)]
    if size > len(data) or crc(data[:size]) != data_crc:
        return None
    return Entry(namespace, kind, chunk, key, data[:size])


def _raw(page: bytes, index: int) -> bytes:
    at = FIRST_ENTRY + ENTRY * index
    return page[at : at + ENTRY]


def _crc_holds(raw: bytes) -> bool:
    return bool(crc(raw[:4] + raw[8:32]) == struct.unpack_from("<I", raw, 4)[0])


def _any_crc_holds(page: bytes) -> bool:
    """Whether one entry's CRC holds: ciphertext gives none."""
    return any(_crc_holds(_raw(page, i)) for i in range(ENTRIES) if not is_erased(_raw(page, i)))
