"""A label as ZPL II: one ``^GFA`` graphic, so that nothing in it can be taken for a command.

Native ``^BQ`` would override the error correction level, eat characters and read ``_41`` as ``A``
(reference, labels). Format of the graphic: docs.zebra.com, ``^GF`` with ``:Z64:``.
"""

import base64
import binascii
import zlib

from eol_inject.label.bitmap import Label


def encode(label: Label) -> bytes:
    """One format that prints one copy of the bitmap, one pixel a dot."""
    per_row = (label.width + 7) // 8
    graphic = _black_is_one(label, per_row)
    packed = base64.b64encode(zlib.compress(graphic, 9))
    check = binascii.crc_hqx(packed, 0)
    size = len(graphic)
    return (
        f"^XA^PW{label.width}^LL{label.height}^LH0,0^FO0,0^GFA,{size},{size},{per_row},"
        f":Z64:{packed.decode()}:{check:04X}^FS^PQ1,0,1,N^XZ"
    ).encode("ascii")


def _black_is_one(label: Label, per_row: int) -> bytes:
    """The rows inverted, as a printer burns them; the padding of each row stays white."""
    padding = per_row * 8 - label.width
    last = 0xFF << padding & 0xFF
    rows = bytearray(byte ^ 0xFF for byte in label.rows)
    for end in range(per_row - 1, len(rows), per_row):
        rows[end] &= last
    return bytes(rows)
