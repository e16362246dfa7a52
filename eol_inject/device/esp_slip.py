"""Packets out of a port's bytes, found at once instead of byte by byte.

esptool's own reader takes each byte in hand: 20 kB read back cost it more than all else that
esptool does. What is not a plain packet goes to that reader, from its first byte on, so that an
answer that is damaged is damaged in the same words.
"""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

_END: Final = b"\xc0"
_ESCAPE: Final = b"\xdb"
_ESCAPED_END: Final = b"\xdb\xdc"
_ESCAPED_ESCAPE: Final = b"\xdb\xdd"


class Source(Protocol):
    """What a reader asks of a port."""

    def inWaiting(self) -> int:  # noqa: N802  # pyserial's old name, which esptool uses
        """Bytes that can be read at once."""

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; ``b""`` when none came in time."""


class Replayed:
    """A port whose last bytes come once more, then silence or what is new."""

    def __init__(self, port: Source, data: bytes, *, silent: bool) -> None:
        """``silent``: the port's time was over once already."""
        self._port = port
        self._data = data
        self._silent = silent

    def inWaiting(self) -> int:  # noqa: N802  # see ``Source``
        """Bytes that can be read at once."""
        return len(self._data) or (0 if self._silent else self._port.inWaiting())

    def read(self, size: int = 1) -> bytes:
        """What was there first."""
        if not self._data:
            return b"" if self._silent else self._port.read(size)
        data, self._data = self._data[:size], self._data[size:]
        return data


def packets(port: Source, ordinary: Callable[[Source], Iterator[bytes]]) -> Iterator[bytes]:
    """The packets that ``port`` brings; ``ordinary`` is esptool's reader. Raises what it raises."""
    held = bytearray()
    silent = good = False
    while True:
        end = held.find(_END, 1)
        while end < 0 and (not held or held.startswith(_END)) and not silent:
            seen = len(held)
            held += port.read((port.inWaiting() if held else 1) or 1)
            silent = len(held) == seen
            end = held.find(_END, max(seen, 1))
        packet = _plain(held, end)
        if packet is None:
            break
        del held[: end + 1]
        good = True
        yield packet
    # its words differ where there was a packet before: it gets one, empty and not passed on
    before = _END + _END if good else b""
    rest = ordinary(Replayed(port, before + bytes(held), silent=silent))
    if good:
        next(rest)
    yield from rest


def _plain(held: bytearray, end: int) -> bytes | None:
    """The packet that ends at ``end``; None where it is not one as it should be."""
    if end < 0 or not held.startswith(_END):
        return None
    body = bytes(held[1:end])
    escapes = body.count(_ESCAPE)
    if not escapes:
        return body
    if escapes != body.count(_ESCAPED_END) + body.count(_ESCAPED_ESCAPE):
        return None
    # in this order: what the second one leaves behind must not look like an escaped end
    return body.replace(_ESCAPED_END, _END).replace(_ESCAPED_ESCAPE, _ESCAPE)
