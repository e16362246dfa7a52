"""What travels between a port and the unit's server over TCP: bytes, line changes, baud changes.

One frame = kind (u8), length (u32, little-endian), payload. Bytes, lines, baud rate and buffer
flushes share one ordered stream, so a byte written before a baud change arrives before it.
"""

import struct
from enum import IntEnum
from typing import Final

_HEADER: Final = struct.Struct("<BI")
_LONGEST: Final = 64 * 1024 * 1024
"""A whole flash is the longest payload; anything longer is not one of ours."""


class Kind(IntEnum):
    """What a frame carries."""

    HELLO = 1
    """JSON, the first frame of every connection: cookie, role, options."""
    WELCOME = 2
    """JSON: the server's answer."""
    REFUSED = 3
    """JSON: ``why`` and what explains it; the server hangs up after it."""
    DATA = 4
    """Bytes on the wire, either way."""
    LINES = 5
    """One byte: bit 0 DTR, bit 1 RTS as the host asserts them."""
    BAUD = 6
    """u32: the host's baud rate."""
    FLUSH = 7
    """The host throws its input away; answered by FLUSHED, everything before it is dropped."""
    FLUSHED = 8
    GONE = 9
    """The unit was unplugged; no frame follows."""
    CALL = 10
    """u32 length of a JSON object, the object, then raw bytes: one act of ``manage``."""
    RESULT = 11
    """As CALL."""


def pack(kind: Kind, payload: bytes = b"") -> bytes:
    """One frame, ready to send."""
    return _HEADER.pack(kind, len(payload)) + payload


class Unpacker:
    """Cuts a byte stream into frames.

    Raises ``ValueError`` for what cannot be a frame: the peer is no part of ours.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """Take what arrived; give the frames that are complete."""
        buffer = self._buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= _HEADER.size:
            number, length = _HEADER.unpack_from(buffer, at)
            if length > _LONGEST:
                raise ValueError("frame too long")
            end = at + _HEADER.size + length
            if end > len(buffer):
                break
            frames.append((Kind(number), bytes(memoryview(buffer)[at + _HEADER.size : end])))
            at = end
        if at:
            del buffer[:at]
        return frames
