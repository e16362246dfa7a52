"""Reads the configuration Edgent itself saves: classic's 212-byte struct, and new Edgent's string.

Source: blynk.md "Legacy configuration", ConfigStore.h, BlynkConfigStore.h, BlynkMigrateConfig.h.
"""

import struct
from types import MappingProxyType
from typing import Final

from eol_inject.unit import AuthToken
from eol_inject.verify.content import UNSET, Content, PlaceState, judge_auth, public
from eol_inject.verify.flash import is_erased

CONFIG_SIZE: Final = 212
_MAGIC: Final = 0x626C6E6B
_VALID: Final = 0x01
_FLAGS: Final = 19
_TOKEN: Final = slice(118, 152)
_HOST: Final = slice(152, 186)

TOKEN_LENGTH: Final = 32


def decode_config(blob: bytes) -> Content:
    """Classic Edgent's struct, from NVS ``blynk``/``config`` or an ESP8266's EEPROM sector.

    A blob longer than the struct is not loaded (Preferences.getBytes), a shorter one leaves
    zeros. Once the valid flag is set the firmware looks at nothing else, so a flagged struct
    without a proper token is TORN: it would beat the region all the same.
    """
    if is_erased(blob):
        return Content(PlaceState.BLANK, why="erased")
    if len(blob) > CONFIG_SIZE:
        return Content(PlaceState.BLANK, why="longer than the firmware reads")
    config = blob.ljust(CONFIG_SIZE, b"\0")
    if struct.unpack_from("<I", config)[0] != _MAGIC:
        return Content(PlaceState.BLANK, why="no configuration")
    if not config[_FLAGS] & _VALID:
        return Content(PlaceState.BLANK, why="not marked valid")
    values = MappingProxyType({"host": public(_text(config[_HOST]))})
    held = judge_auth(_text(config[_TOKEN]))
    if held.state is PlaceState.TOKEN:
        return Content(held.state, held.auth, values)
    return Content(PlaceState.TORN, values=values, why="marked valid, but holds no AuthToken")


def decode_auth(value: bytes) -> Content:
    """New Edgent's NVS string ``auth``: used only with exactly 32 characters."""
    text = _text(value)
    if len(text) != TOKEN_LENGTH or text == UNSET:
        return Content(PlaceState.BLANK, why="no token set")
    if AuthToken.looks_like(text):
        return judge_auth(text)
    return Content(PlaceState.TORN, why="32 characters that are no AuthToken")


def _text(field: bytes) -> str:
    """A C string: up to its NUL, or the whole field."""
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
