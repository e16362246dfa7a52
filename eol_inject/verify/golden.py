"""Whether a unit's application follows from the golden image, and from nothing but a new region.

Independent of ``check_seal``: the checksum is followed from golden's own by what changed, and where
checksum and digest stand is taken from golden only after golden's digest has confirmed it.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import xor
from typing import Final

from eol_inject.verify.application import read_application
from eol_inject.verify.flash import Flash, Reader
from eol_inject.verify.spec import Where

_CRC: Final = 4
"""Length of ESP8266's digest."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """The golden application, with offsets into it."""

    data: bytes = field(repr=False)
    region: slice
    summed: bool
    """Whether the checksum counts the region's segment."""
    tail: int
    """Where the checksum stands; the digest is behind it."""
    digest: int
    """Length of the digest, 0 for none."""


def against_golden(
    read: Reader, golden: bytes, where: Where, *, changed: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    """What is wrong with the unit's application, as public phrases; empty where all is well.

    ``golden`` is the application's bytes from ``where.app_address`` on. Of ``changed``, (address,
    size), the unit's own bytes are read; everything else has to be proved to be golden's.
    """
    reference = _reference(golden, where)
    if reference is None:
        return ("the golden image's own digest does not stand where it should",)
    return tuple(_faults(reference, _unit(read, golden, where, changed), where.app_address))


@lru_cache(maxsize=4)  # the same for every unit of a run
def _reference(golden: bytes, where: Where) -> _Reference | None:
    """None where golden is no application, or its digest contradicts our reading of it."""
    start, end = where.app_address, where.app_address + len(golden)
    flash = Flash(lambda at, size: golden[at - start : at - start + size], end)
    app = read_application(flash, start, end, where)
    if app is None or not app.whole or not app.segments or where.hint is None or not where.size:
        return None
    tail = app.checksum_at - start
    digest = 32 if app.hashed else _CRC if app.version2 else 0
    if digest and _digest(golden[: tail + 1], digest) != golden[tail + 1 :][:digest]:
        return None
    place = start + where.hint
    summed = any(s.summed and s.address <= place < s.end for s in app.segments)
    return _Reference(golden, slice(where.hint, where.hint + where.size), summed, tail, digest)


def _faults(reference: _Reference, unit: bytearray, address: int) -> Iterator[str]:
    golden, region, tail = reference.data, reference.region, reference.tail
    stray = _first_difference(reference, unit)
    if stray is not None:
        yield f"the byte at 0x{address + stray:X} is not the golden image's"
    follows = golden[tail]
    if reference.summed:
        follows ^= reduce(xor, golden[region], 0) ^ reduce(xor, unit[region], 0)
    if unit[tail] != follows:
        yield "the checksum does not follow from the golden image's"
    stored = unit[tail + 1 :][: reference.digest]
    if reference.digest and _digest(memoryview(unit)[: tail + 1], reference.digest) != stored:
        yield "the digest is not that of the bytes before it"


def _unit(
    read: Reader, golden: bytes, where: Where, changed: Sequence[tuple[int, int]]
) -> bytearray:
    """Golden's bytes with the changed stretches from the unit."""
    unit = bytearray(golden)
    for address, size in changed:
        start = max(address - where.app_address, 0)
        stop = min(address + size - where.app_address, len(golden))
        if start < stop:
            unit[start:stop] = read(where.app_address + start, stop - start)
    return unit


def _first_difference(reference: _Reference, unit: bytearray) -> int | None:
    """Offset of the first byte that differs outside of region, checksum and digest."""
    masked, golden = bytearray(unit), reference.data
    tail = slice(reference.tail, reference.tail + 1 + reference.digest)
    for allowed in (reference.region, tail):
        masked[allowed] = golden[allowed]
    if masked == golden:
        return None
    return next(
        i for i, (one, other) in enumerate(zip(masked, golden, strict=True)) if one != other
    )


def _digest(data: bytes | memoryview, size: int) -> bytes:
    if size == _CRC:
        crc = zlib.crc32(data)
        return struct.pack("<I", ~crc & 0xFFFFFFFF if crc >> 31 else crc + 1)
    return hashlib.sha256(data).digest()
