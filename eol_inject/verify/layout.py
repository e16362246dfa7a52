"""Reads fields in a row: a ``record`` in flash of its own, or an ``eeprom`` area.

What a template fixes (magic, version), the length and the CRC-32 (zlib's, of everything before it)
all have to be right before a token counts.
"""

import zlib
from typing import Final

from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.flash import is_erased
from eol_inject.verify.spec import Layout, LayoutField
from eol_inject.verify.values import judge

_LENGTH: Final = "{length}"
_CRC: Final = "{crc32}"


class _TornError(Exception):
    """A field that is not as it was written; the text holds no value."""


def width(form: Layout) -> int:
    """Bytes of all fields."""
    return sum(field.size for field in form.fields)


def decode(data: bytes, form: Layout) -> Content:
    """What the first bytes of ``data`` hold, as many as the layout has."""
    area = data[: width(form)]
    if is_erased(area):
        return Content(PlaceState.BLANK, why="erased")
    if len(area) < width(form):
        return Content(PlaceState.TORN, why="shorter than its layout")
    read: dict[str, tuple[str, str]] = {}
    at = 0
    try:
        for number, field in enumerate(form.fields):
            raw = area[at : at + field.size]
            if field.value == _CRC:
                _require(int.from_bytes(raw, form.byte_order) == zlib.crc32(area[:at]), "the CRC")
            elif field.value == _LENGTH:
                behind = sum(f.size for f in form.fields[number + 1 :] if f.value != _CRC)
                _require(int.from_bytes(raw, form.byte_order) == behind, "the length")
            elif field.type == "number":
                read[field.name] = _number(field, int.from_bytes(raw, form.byte_order))
            else:
                read[field.name] = (field.value, _text(field, raw))
            at += field.size
    except _TornError as torn:
        return Content(PlaceState.TORN, why=str(torn))
    return judge(read)


def _number(field: LayoutField, number: int) -> tuple[str, str]:
    """Template and text, both plain decimal where the template fixes the number (``0x1234``)."""
    try:
        return str(int(field.value, 0)), str(number)
    except ValueError:
        return field.value, str(number)


def _text(field: LayoutField, raw: bytes) -> str:
    if field.type == "bytes":
        return _like(field.value, raw.hex())
    body = raw.rstrip(b"\0")
    _require(b"\0" not in body, f"{field.name}: bytes behind the text's end", whole=True)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise _TornError(f"{field.name}: bytes that are no text") from None


def _like(template: str, digits: str) -> str:
    """Hex digits in the case that a fixed template has them."""
    return template if template.lower() == digits else digits


def _require(holds: bool, what: str, *, whole: bool = False) -> None:
    if not holds:
        raise _TornError(what if whole else f"{what} does not match")
