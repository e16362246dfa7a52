"""Fields in a row, as ``record`` and ``eeprom`` have them: numbers, texts and bytes."""

import zlib
from collections.abc import Mapping
from typing import Final, Literal

from eol_inject.errors import UsageError
from eol_inject.image import values
from eol_inject.image.spec import NUMBER_SIZES, EepromSpec, LayoutField, RecordSpec
from eol_inject.unit import AuthToken, Secret

_LENGTH: Final = "{length}"
_CRC: Final = "{crc32}"


def encode(
    spec: RecordSpec | EepromSpec, auth: AuthToken, fields: Mapping[str, str | Secret]
) -> bytes:
    """Every field in order, ``spec.width`` bytes.

    Raises ``UsageError``: ``image.bad_value``, ``image.field_missing``.
    """
    data = b""
    for index, field in enumerate(spec.layout):
        if field.value == _CRC:
            data += zlib.crc32(data).to_bytes(field.width, spec.byte_order)
        elif field.value == _LENGTH:
            behind = sum(f.width for f in spec.layout[index + 1 :] if f.value != _CRC)
            data += _field(field, str(behind), spec.byte_order)
        else:
            text = values.fill(field.value, auth, fields)
            data += _field(field, text, spec.byte_order)
    return data


def _field(field: LayoutField, text: str, byte_order: Literal["little", "big"]) -> bytes:
    if field.type in NUMBER_SIZES:
        return values.number(field.name, text, field.width).to_bytes(field.width, byte_order)
    if field.type == "text":
        data = values.text_bytes(field.name, text, field.width - field.terminated)
        return data.ljust(field.width, b"\0")
    data = values.from_hex(field.name, text)
    if len(data) != field.width:
        why = f"it has {len(data)} bytes, not {field.width}"
        raise UsageError("image.bad_value", key=field.name, why=why)
    return data
