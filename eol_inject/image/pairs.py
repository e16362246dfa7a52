"""Blynk's tagged constants: a tag, then NUL-separated key, value, key, value, and an empty key.

Source: blynk-library, ``BLYNK_PARAM_KV``. A value may be empty, a key may not.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from eol_inject.image.containers import Image

_KEY: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_-]{0,31}")
_MAX_PAIRS: Final = 64


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one constant; ``end`` is the file offset of the empty key's NUL."""

    pairs: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    end: int

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, or None."""
        return next((value for name, value in self.pairs if name == key), None)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(name.decode("ascii") for name, _ in self.pairs)


def find_tags(image: Image, tag: bytes) -> list[tuple[int, int]]:
    """Every place of ``tag`` in segment data: its offset, and the end of its segment.

    What stands between and behind the segments does not reach the firmware, so it does not count.
    From behind, since that search is twice as fast in firmware, which is full of NULs.
    """
    places = []
    for segment in image.segments:
        at = image.data.rfind(tag, segment.offset, segment.end)
        while at >= 0:
            places.append((at, segment.end))
            at = image.data.rfind(tag, segment.offset, at)
    return sorted(places)


def read(data: bytes, at: int, limit: int) -> Pairs | None:
    """The pairs from ``at`` on; None where they do not end before ``limit``, or are no pairs."""
    found: list[tuple[bytes, bytes]] = []
    while at < limit and len(found) <= _MAX_PAIRS:
        if data[at] == 0:
            return Pairs(tuple(found), at)
        key_end = data.find(b"\0", at, min(limit, at + 33))
        if key_end < 0 or not _KEY.fullmatch(data, at, key_end):
            return None
        value_end = data.find(b"\0", key_end + 1, limit)
        if value_end < 0:
            return None
        found.append((data[at:key_end], data[key_end + 1 : value_end]))
        at = value_end + 1
    return None
