"""Deflate streams whose common part is made once: all units but one sector get the same bytes.

A stream is put together from pieces that were compressed apart, each ended by a full flush (zlib
manual, ``Z_FULL_FLUSH``: byte-aligned, no reference into what came before). Between the header and
the Adler-32 of the whole they stand in a row (RFC 1950, RFC 1951).
"""

import hashlib
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_HEADER: Final = b"\x78\xda"
"""Deflate with a 32 KiB window, best compression (RFC 1950, 2.2)."""
_LAST: Final = b"\x03\x00"
"""An empty last block with fixed codes (RFC 1951, 3.2.6)."""
_LEVEL: Final = 9
_KEPT: Final = 32
"""Pieces kept: a few products' worth."""


@dataclass(frozen=True, slots=True, repr=False)
class Piece:
    """Bytes of a run; ``common`` ones are every unit's, and hold no secret. No repr."""

    data: bytes
    common: bool = False


class Packer:
    """Makes streams, and keeps what common pieces became. Safe to use from several threads."""

    def __init__(self) -> None:
        self._made: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def pack(self, pieces: Iterable[Piece]) -> bytes:
        """One zlib stream of all ``pieces``."""
        check = 1  # of nothing (RFC 1950, 8.2)
        parts = [_HEADER]
        for piece in pieces:
            parts.append(self._piece(piece))
            check = zlib.adler32(piece.data, check)
        return b"".join((*parts, _LAST, check.to_bytes(4, "big")))

    def _piece(self, piece: Piece) -> bytes:
        if not piece.common:
            return _deflate(piece.data)
        key = hashlib.sha256(piece.data).digest()
        with self._lock:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = _deflate(piece.data)
                if len(self._made) > _KEPT:
                    self._made.popitem(last=False)
        return made


def _deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush(zlib.Z_FULL_FLUSH)


PACKER: Final = Packer()
"""One for the process: all slots flash the same product."""
