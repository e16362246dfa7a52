"""Fills a region's value templates: ``{auth}``, the names of ``[fields]``; and makes bytes of them.

No error repeats a value: it may be secret.
"""

import binascii
from collections.abc import Mapping
from string import Formatter

from eol_inject.errors import UsageError
from eol_inject.unit import AuthToken, Secret


def fill(template: str, auth: AuthToken, fields: Mapping[str, str | Secret]) -> str:
    """``template`` with every name in braces replaced; the result is as secret as its parts.

    Raises ``UsageError("image.field_missing")`` for a name without a value.
    """
    parts: list[str] = []
    for text, name, _spec, _conversion in Formatter().parse(template):
        parts.append(text)
        if name is None:
            continue
        value = auth if name == "auth" else fields.get(name)
        if value is None:
            raise UsageError("image.field_missing", field=name)
        parts.append(value.reveal() if isinstance(value, Secret) else value)
    return "".join(parts)


def text_bytes(key: str, text: str, most: int) -> bytes:
    """At most ``most`` bytes for a C string, NUL not counted.

    Raises ``UsageError("image.bad_value")``.
    """
    data = text.encode("utf-8", "surrogatepass")
    if b"\0" in data:
        raise UsageError("image.bad_value", key=key, why="it holds a NUL")
    if len(data) > most:
        why = f"it has {len(data)} bytes, and the firmware keeps {most}"
        raise UsageError("image.bad_value", key=key, why=why)
    return data


def number(key: str, text: str, width: int) -> int:
    """An unsigned number of ``width`` bytes. Raises ``UsageError("image.bad_value")``."""
    try:
        value = int(text, 0)
    except ValueError:
        raise UsageError("image.bad_value", key=key, why="it is not a number") from None
    if not 0 <= value < 1 << 8 * width:
        why = f"it is not from 0 to {(1 << 8 * width) - 1}"
        raise UsageError("image.bad_value", key=key, why=why)
    return value


def from_hex(key: str, text: str) -> bytes:
    """Bytes written as hex digits. Raises ``UsageError("image.bad_value")``."""
    try:
        return binascii.unhexlify(text)
    except ValueError:
        raise UsageError("image.bad_value", key=key, why="it is not hex") from None
