"""Firmware without a container of its own: raw bytes at an address, or Intel HEX.

Neither has a seal. Intel HEX may have gaps and several pieces; its bytes are handled in a row and
written back piece by piece.
"""

import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from eol_inject.errors import UsageError
from eol_inject.image.containers.esp import Segment

if TYPE_CHECKING:
    from intelhex import IntelHex

_MAX_HEX: Final = 6 * 1024 * 1024
"""Bytes of text: 2 MB of firmware. intelhex keeps every byte as an object of its own."""
_END: Final = re.compile(rb"^:00[0-9A-Fa-f]{4}01[0-9A-Fa-f]{2}\s*$", re.MULTILINE)
_RECORD: Final = 16


@dataclass(frozen=True, slots=True)
class PlainImage:
    """Bytes that a region is looked for in; ``segments`` say where they belong."""

    data: bytes = field(repr=False)
    """All pieces in a row."""
    segments: tuple[Segment, ...]
    start: int = 0


def raw(data: bytes, address: int) -> PlainImage:
    """One piece at ``address``. Raises ``UsageError("image.not_an_image")`` for no bytes."""
    if not data:
        raise UsageError("image.not_an_image", start="nothing")
    return PlainImage(data, (Segment(0, len(data), address),))


def looks_like_hex(data: bytes) -> bool:
    """Whether the file may be Intel HEX."""
    return data.lstrip()[:1] == b":"


def from_hex(text: bytes) -> PlainImage:
    """Every piece of an Intel HEX file, in the order of addresses.

    Raises ``UsageError("image.bad_hex")``.
    """
    pieces, segments, offset = [], [], 0
    source = _load(text)
    for start, end in source.segments():
        pieces.append(source.tobinstr(start=start, end=end - 1))
        segments.append(Segment(offset, end - start, start))
        offset += end - start
    if not segments:
        raise UsageError("image.bad_hex", why="it holds no data")
    return PlainImage(b"".join(pieces), tuple(segments))


def to_hex(text: bytes, data: bytes) -> bytes:
    """The file ``text`` with ``data`` in place of its own; pieces, entry and line ends are kept."""
    from intelhex import IntelHex

    source, made, offset = _load(text), IntelHex(), 0
    for start, end in source.segments():
        made.frombytes(data[offset : offset + end - start], offset=start)
        offset += end - start
    made.start_addr = source.start_addr
    out = io.StringIO()
    made.write_hex_file(out, byte_count=_RECORD)
    ending = "\r\n" if b"\r\n" in text else "\n"
    return out.getvalue().replace("\r\n", "\n").replace("\n", ending).encode("ascii")


def _load(text: bytes) -> "IntelHex":
    from intelhex import IntelHex, IntelHexError

    if len(text) > _MAX_HEX:
        raise UsageError("image.bad_hex", why=f"it has {len(text)} bytes, the most is {_MAX_HEX}")
    if not _END.search(text):  # intelhex takes a file that was cut off between two lines
        raise UsageError("image.bad_hex", why="its last record is missing, so it was cut off")
    loaded = IntelHex()
    try:
        loaded.loadhex(io.StringIO(text.decode("ascii")))
    except (IntelHexError, UnicodeDecodeError, ValueError) as error:
        raise UsageError("image.bad_hex", why=str(error)[:120]) from error
    return loaded
