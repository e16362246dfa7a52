"""The ``eeprom`` region: an area of a microcontroller's EEPROM, as Intel HEX for its programmer."""

import io
from collections.abc import Iterable

from eol_inject.errors import UsageError


def to_hex(areas: Iterable[tuple[int, bytes]]) -> bytes:
    """All areas (offset, content) as one file. Raises ``UsageError("image.places_overlap")``."""
    from intelhex import IntelHex

    made, end = IntelHex(), 0
    for offset, content in sorted(areas):
        if offset < end:
            raise UsageError("image.places_overlap", address=f"{offset:#x}")
        made.frombytes(content, offset=offset)
        end = offset + len(content)
    out = io.StringIO()
    made.write_hex_file(out)
    return out.getvalue().encode("ascii")
