"""A QR image of a console export → the claim code it says.

Only the chunks that make up the picture reach Pillow, and only after their sizes were checked:
a profile or text chunk of a hostile image can unpack to anything.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.tokens import cells

MAX_IMAGE_BYTES: Final = 1024 * 1024
_MAX_PIXELS: Final = 4_000_000
"""2,000 by 2,000: far more than any QR code of 38 characters needs."""
_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
_PICTURE_CHUNKS: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def claim_in(data: bytes, *, where: str) -> str:
    """The text of the claim code in the image; ``where`` names the image in errors.

    Raises ``UsageError``: ``tokens.image_broken``, ``tokens.image_too_large``,
    ``tokens.image_no_code``, ``tokens.image_other_code``.
    """
    picture = _picture(data, where)
    texts = _decode(picture)
    if texts is None:
        raise UsageError("tokens.image_broken", where=where)
    if len(texts) != 1:
        raise UsageError("tokens.image_no_code", where=where, count=len(texts))
    text = texts[0].decode("ascii", errors="replace")
    if cells.claim_parts(text) is None:
        raise UsageError("tokens.image_other_code", where=where)
    return text


def _decode(picture: bytes) -> list[bytes] | None:
    """What the QR codes in the picture say; None where it is no picture."""
    import zxingcpp
    from PIL import Image

    try:
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
            # Transparent images are drawn for a white page.
            solid = Image.new("RGBA", image.size, "white")
            solid.alpha_composite(image.convert("RGBA"))
            grey = solid.convert("L")
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error):
        return None
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.barcode_formats_from_str("QRCode"))
    return [bytes(code.bytes) for code in found]


def _picture(data: bytes, where: str) -> bytes:
    """The same PNG with nothing in it but the picture."""
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        raise UsageError("tokens.image_broken", where=where)
    header = chunks[0][1]
    if len(header) != 13:  # noqa: PLR2004  # PNG specification 11.2.2
        raise UsageError("tokens.image_broken", where=where)
    width, height = struct.unpack(">II", header[:8])
    if width * height > _MAX_PIXELS:
        raise UsageError("tokens.image_too_large", where=where)
    return _MAGIC + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
        if kind in _PICTURE_CHUNKS
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk up to the first that is damaged (PNG specification 5.3)."""
    if not data.startswith(_MAGIC):
        return
    at = len(_MAGIC)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        crc = data[at + 8 + size : at + 12 + size]
        if len(body) != size or crc != struct.pack(">I", zlib.crc32(kind + body)):
            return
        yield kind, body
        if kind == b"IEND":
            return
        at += 12 + size
