"""One reader out of two: the wire, and bytes of which the chip itself has proved the MD5.

A whole application over a serial line costs 14 s at 921,600 baud; one MD5 on the chip costs none.
The rule that keeps this honest: a span is served from our own bytes only after this unit's chip
gave their MD5, and a sector that was changed is always read over the wire.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from eol_inject.errors import UnitError
from eol_inject.verify.flash import Reader

Md5 = Callable[[int, int], str]
"""``(flash address, size) -> hex``: the chip's own MD5 over its flash."""


@dataclass(frozen=True, slots=True)
class Proved:
    """Bytes that stand in this unit's flash, by the word of its chip. Made by ``prove`` only."""

    address: int
    data: bytes = field(repr=False)

    @property
    def end(self) -> int:
        """The address behind."""
        return self.address + len(self.data)


def prove(md5: Md5, address: int, data: bytes, *, digest: str | None = None) -> Proved:
    """Ask the chip for the MD5 of this stretch, and have it served from ``data`` from now on.

    ``digest``: the MD5 of ``data``, where the caller has made it for an earlier unit. Ask after the
    last write, or the proof is of another flash. Raises ``UnitError("verify.md5_mismatch")``.
    """
    ours = digest or hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5(address, len(data)).strip().lower() != ours:
        raise UnitError("verify.md5_mismatch", address=f"0x{address:X}", size=len(data))
    return Proved(address, bytes(data))


class ComposedReader:
    """Serves proved spans from memory and everything else from the wire.

    ``changed`` are the (address, size) of what was written to this unit in this cycle: a proved
    span that touches one is refused with ValueError, since it would hide what was written.
    """

    def __init__(
        self, wire: Reader, proved: Iterable[Proved], *, changed: Sequence[tuple[int, int]]
    ) -> None:
        self._wire = wire
        self._proved = sorted(proved, key=lambda span: span.address)
        self.wire_bytes = 0
        """Bytes that came over the wire so far."""
        for one, other in pairwise(self._proved):
            if one.end > other.address:
                raise ValueError(f"proved spans overlap at 0x{other.address:X}")
        for address, size in changed:
            if any(s.address < address + size and address < s.end for s in self._proved):
                raise ValueError(f"0x{address:X} was changed: it has to come from the wire")

    def __call__(self, address: int, size: int) -> bytes:
        """As a ``Reader``."""
        parts: list[bytes] = []
        at, end = address, address + size
        while at < end:
            span = next((s for s in self._proved if s.end > at), None)
            if span is None or span.address >= end:
                parts.append(self._read(at, end))
                break
            if span.address > at:
                parts.append(self._read(at, span.address))
                at = span.address
            stop = min(end, span.end)
            parts.append(span.data[at - span.address : stop - span.address])
            at = stop
        return b"".join(parts)

    def _read(self, start: int, end: int) -> bytes:
        data = self._wire(start, end - start)
        self.wire_bytes += len(data)
        return data
