"""Reads what CUPS' own Zebra driver writes: ``~DGR`` graphics in Zebra's compressed hexadecimal."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

_COUNTS: Final = {
    **{chr(ord("G") + n): n + 1 for n in range(19)},
    **{chr(ord("g") + n): (n + 1) * 20 for n in range(20)},
}
"""G … Y repeat the next digit 1 … 19 times, g … z 20 … 400 times (ZPL II guide, ``~DG``)."""


def picture(data: bytes) -> "Image":
    """The one graphic of a job as an image of mode "1"; its width is whole bytes."""
    from PIL import Image

    (found,) = re.findall(rb"~DGR:CUPS.GRF,(\d+),(\d+),\s*([0-9A-Za-z,:!\s]*?)\s*(?=[\^~])", data)
    total, wide, text = int(found[0]), int(found[1]), found[2].decode("ascii")
    rows = _rows("".join(text.split()), wide * 2)
    packed = bytes.fromhex("".join(rows))
    assert len(packed) == total, (len(packed), total)
    return Image.frombytes("1", (wide * 8, len(rows)), bytes(b ^ 0xFF for b in packed))


def _rows(text: str, digits: int) -> list[str]:
    rows: list[str] = []
    row, count = "", 0
    for c in text:
        if c in _COUNTS:
            count += _COUNTS[c]
            continue
        if c == ":":
            assert not row
            rows.append(rows[-1])
            continue
        if c in ",!":
            row = row.ljust(digits, "0" if c == "," else "F")
        else:
            row += c * max(count, 1)
            count = 0
        if len(row) >= digits:
            assert len(row) == digits
            rows.append(row)
            row = ""
    assert not row
    return rows
