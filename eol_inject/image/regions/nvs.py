"""The ``nvs`` region: a whole NVS partition, with the token among its entries.

Presets (blynk-library, Edgent-Arduino): new Edgent's strings, and classic Edgent's ``config`` blob,
a packed little-endian struct of 212 bytes.
"""

import struct
from collections.abc import Mapping
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.image import nvs, values
from eol_inject.image.nvs import Item
from eol_inject.image.spec import NUMBER_SIZES, NvsEntry, NvsSpec
from eol_inject.unit import AuthToken, Secret

_CONFIG: Final = struct.Struct("<I15sB34s64s34s34sH5Ii")
_MAGIC: Final = 0x626C6E6B
_VALID: Final = 0x01
_LIMITS: Final = {"version": 14, "ssid": 33, "pass": 63, "auth": 33, "host": 33}
"""Bytes of each array, less its NUL."""
_STRING: Final = 3999
"""Bytes of the longest string that NVS takes, less its NUL."""


def encode(
    spec: NvsSpec,
    size: int,
    auth: AuthToken,
    fields: Mapping[str, str | Secret],
    existing: bytes | None,
) -> bytes:
    """The partition's new content, ``size`` bytes; ``existing`` is what the unit holds there.

    Raises ``UsageError``: ``image.nvs_unread``, ``image.nvs_unreadable``, ``image.nvs_occupied``,
    ``image.nvs_full``, ``image.bad_value``, ``image.field_missing``.
    """
    if existing is None:
        raise UsageError("image.nvs_unread", region=spec.name)
    new = _items(spec, auth, fields)
    ours = {(item.namespace, item.key) for item in new}
    others = [item for item in nvs.read(existing) if (item.namespace, item.key) not in ours]
    if others and spec.existing == "refuse":
        names = ", ".join(sorted({item.namespace for item in others}))
        raise UsageError("image.nvs_occupied", count=len(others), namespaces=names)
    return nvs.write([*new, *others], size, version=nvs.version_of(existing))


def _items(spec: NvsSpec, auth: AuthToken, fields: Mapping[str, str | Secret]) -> list[Item]:
    if spec.preset == "classic-edgent":
        filled = {key: values.fill(text, auth, fields) for key, text in spec.values.items()}
        return [Item(spec.namespace, "config", "blob", _config(filled))]
    entries = spec.entries or tuple(
        NvsEntry(key=key, type="string", value=text) for key, text in spec.values.items()
    )
    return [
        _item(spec.namespace, entry, values.fill(entry.value, auth, fields)) for entry in entries
    ]


def _item(namespace: str, entry: NvsEntry, text: str) -> Item:
    if entry.type == "string":
        return Item(namespace, entry.key, "string", values.text_bytes(entry.key, text, _STRING))
    if entry.type == "blob":
        return Item(namespace, entry.key, "blob", values.from_hex(entry.key, text))
    width = NUMBER_SIZES[entry.type]
    return Item(namespace, entry.key, entry.type, values.number(entry.key, text, width))


def _config(filled: Mapping[str, str]) -> bytes:
    """Classic Edgent's stored configuration, marked valid."""
    texts = {key: values.text_bytes(key, filled[key], most) for key, most in _LIMITS.items()}
    return _CONFIG.pack(
        _MAGIC,
        texts["version"],
        _VALID,
        texts["ssid"],
        texts["pass"],
        texts["auth"],
        texts["host"],
        values.number("port", filled["port"], 2),
        *(0, 0, 0, 0, 0),
        0,
    )
