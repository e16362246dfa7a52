"""Reads a ``blnkopt`` region as classic Edgent does (ConfigStore.h, BlynkParam.h; blynk.md).

``"blnkopt\\0"``, then NUL-terminated key, value, key, value… The firmware walks ``sizeof - 10``
bytes from offset 8, takes the first match of a key, and counts as provisioned only with both
``ssid`` and ``auth``. It checks nothing else, so whatever it would misread is TORN here.
"""

import re
from typing import Final

from eol_inject.unit import Secret
from eol_inject.verify.content import Content, PlaceState, judge_auth, public
from eol_inject.verify.flash import ERASED, is_erased

TAG: Final = b"blnkopt\0"
WINDOW: Final = 1024
"""Bytes read where the region's size is not known; the stock region has 306."""

_TAIL: Final = 2
"""The list's own end mark and the C string's NUL: the firmware does not walk over them."""

_PUBLIC: Final = frozenset({"ssid", "host", "port"})
_KNOWN: Final = _PUBLIC | {"auth", "pass"}
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,15}")
"""What another firmware may have for a key."""
_FIRST_PRINTABLE: Final = 0x20


class _TornError(Exception):
    """The bytes are no list of keys and values; the text says why, without a value."""


def decode(data: bytes, *, exact: bool) -> Content:
    """What the region that begins at ``data[0]`` says to the firmware.

    ``exact``: ``data`` is the whole region, so the list must end in it with nothing but NULs
    behind. Otherwise ``data`` is a window: the list ends at its first empty key.
    """
    if is_erased(data):
        return Content(PlaceState.BLANK, why="erased")
    if not data.startswith(TAG):
        return Content(PlaceState.TORN, why="the tag is missing")
    try:
        pairs, end = _walk(data, len(data) - _TAIL if exact else len(data))
        if exact:
            _nothing_behind(data[end:])
        _in_step(pairs, exact=exact)
        return _judge(pairs)
    except _TornError as torn:
        return Content(PlaceState.TORN, why=str(torn))


def decode_found(data: bytes, size: int | None) -> Content:
    """What a region found on a unit says, where ``size`` is only what the golden image has.

    Another firmware's region may be shorter: other data stands behind it, so bytes behind the end
    mark are no fault, unless the firmware, walking ``size`` bytes, would find ``auth`` in them.
    """
    content = decode(data, exact=False)
    if size is None or content.state is not PlaceState.BLANK or not data.startswith(TAG):
        return content
    keys = data[len(TAG) : size - _TAIL].split(b"\0")[0::2]
    if b"" in keys and b"auth" in keys[keys.index(b"") :]:
        return Content(PlaceState.TORN, why="auth stands behind the end of the list")
    return content


def _walk(data: bytes, end: int) -> tuple[list[tuple[str, str]], int]:
    """The pairs, and where the walk stopped: at an empty key, or at ``end``."""
    pairs: list[tuple[str, str]] = []
    at = len(TAG)
    while at < end:
        key, after_key = _word(data, at)
        if not key:
            return pairs, at
        if after_key >= end:
            raise _TornError("the last key has no value")
        value, at = _word(data, after_key)
        pairs.append((key, value))
    if at > end:
        raise _TornError("the list runs over the region's end")
    return pairs, at


def _word(data: bytes, at: int) -> tuple[str, int]:
    """The text at ``at`` and the position behind its NUL."""
    stop = data.find(b"\0", at)
    word = data[at : stop if stop >= 0 else len(data)]
    if ERASED in word:
        raise _TornError("half erased")
    if stop < 0:
        raise _TornError("the list has no end")
    try:
        text = word.decode("utf-8")
    except UnicodeDecodeError:
        raise _TornError("bytes that are no text") from None
    if any(ord(character) < _FIRST_PRINTABLE for character in text):
        raise _TornError("bytes that are no text")
    return text, stop + 1


def _nothing_behind(rest: bytes) -> None:
    if len(rest) < _TAIL:
        raise _TornError("the list has no end mark")
    if rest.count(0) != len(rest):
        raise _TornError("half erased" if ERASED in rest else "bytes behind the end of the list")


def _in_step(pairs: list[tuple[str, str]], *, exact: bool) -> None:
    """Out of step, a value stands in a key's place: its text may be the token's."""
    for key, value in pairs:
        if key in _KNOWN:
            continue
        if exact or not _KEY.fullmatch(key) or value in _KNOWN:
            raise _TornError("a key that the firmware does not know")


def _judge(pairs: list[tuple[str, str]]) -> Content:
    """``values`` has the firmware's own keys only: the name of another could be a secret too."""
    values: dict[str, str | Secret] = {}
    twice = ""
    for key, value in pairs:
        if key in values:
            twice = twice or key
        elif key in _KNOWN:
            values[key] = public(value) if key in _PUBLIC else Secret(value)
    text = values.pop("auth", None)
    held = judge_auth(text.reveal()) if isinstance(text, Secret) else Content(PlaceState.BLANK)
    if twice:
        return Content(PlaceState.TORN, held.auth, values, f"the key {twice} stands twice")
    if "ssid" not in values and held.state is PlaceState.TOKEN:
        why = "without ssid the firmware ignores the token"
        return Content(PlaceState.TORN, held.auth, values, why)
    return Content(held.state, held.auth, values, held.why)
