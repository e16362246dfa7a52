"""SLIP framing (RFC 1055) as the chips' loaders use it, in bulk."""

from typing import Final

END: Final = b"\xc0"
_LONGEST: Final = 1024 * 1024
"""Longer than any packet: what grows beyond it is noise."""


def encode(packet: bytes) -> bytes:
    """One packet between two END bytes."""
    return END + packet.replace(b"\xdb", b"\xdb\xdd").replace(END, b"\xdb\xdc") + END


class Decoder:
    """Cuts a byte stream into packets; what stands between packets comes out as one more packet.

    The loader drops packets that make no sense, so noise costs nothing, and a lost END byte loses
    two packets, as on a real chip.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived; give the packets that are complete, unescaped."""
        first, *others = data.split(END)
        self._parts.append(first)
        self._held += len(first)
        if not others:
            if self._held > _LONGEST:
                self._parts, self._held = [], 0
            return []
        *middle, last = others
        packets = [b"".join(self._parts), *middle]
        self._parts, self._held = [last], len(last)
        return [_plain(packet) for packet in packets if packet]


def _plain(packet: bytes) -> bytes:
    if b"\xdb" not in packet:
        return packet
    return packet.replace(b"\xdb\xdc", END).replace(b"\xdb\xdd", b"\xdb")
