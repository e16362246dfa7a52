"""The ``blnkopt`` region of Blynk's classic firmware: one constant among the firmware's own data.

::

    "blnkopt\\0" key "\\0" value "\\0" … "\\0"  + the C string's own NUL

The firmware walks ``sizeof - 8 - 2`` bytes behind the tag, so its size is fixed when it is built:
it is rewritten at exactly that size, the rest NUL.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from eol_inject.errors import UsageError
from eol_inject.image import pairs, values
from eol_inject.image.containers import Image
from eol_inject.image.regions.region import Region, Sighting, State
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken, Secret

TAG: Final = b"blnkopt\0"
PUBLIC_KEYS: Final = frozenset({b"host", b"port"})
"""Whose values may be shown."""
_ENDING: Final = 2
"""The empty key's NUL and the C string's own."""
_PLACEHOLDER: Final = b"Placeholder"
_LIMITS: Final = {"ssid": 33, "pass": 63, "auth": 33, "host": 33, "port": 5}
"""Bytes the firmware keeps of each (the arrays of its configuration, less their NUL)."""


def locate(image: Image, spec: BlnkoptSpec) -> Region:
    """The one region of a golden image.

    Raises ``UsageError``: ``image.region_missing``, ``image.region_twice``, ``image.region_torn``,
    ``image.not_golden``.
    """
    places = pairs.find_tags(image, TAG)
    if not places:
        raise UsageError("image.region_missing", region=spec.name, tag="blnkopt")
    if len(places) > 1:
        at = ", ".join(f"{place:#x}" for place, _ in places)
        raise UsageError("image.region_twice", region=spec.name, count=len(places), places=at)
    ((offset, limit),) = places
    found = pairs.read(image.data, offset + len(TAG), limit)
    if found is None or found.end + _ENDING > limit or image.data[found.end + 1]:
        raise UsageError("image.region_torn", region=spec.name, offset=f"{offset:#x}")
    if _is_filled(found):
        raise UsageError("image.not_golden", region=spec.name, offset=f"{offset:#x}")
    return Region(spec.name, spec.kind, offset, found.end + _ENDING - offset)


def sightings(image: Image) -> Iterator[Sighting]:
    """Every region of this kind in any image, golden or not."""
    for offset, limit in pairs.find_tags(image, TAG):
        found = pairs.read(image.data, offset + len(TAG), limit)
        if found is None:
            yield Sighting("blnkopt", offset, len(TAG), State.TORN)
            continue
        shown = {
            key.decode("ascii"): value.decode("ascii", "replace")
            for key, value in found.pairs
            if key in PUBLIC_KEYS
        }
        yield Sighting(
            "blnkopt",
            offset,
            found.end + _ENDING - offset,
            State.FILLED if _is_filled(found) else State.PLACEHOLDER,
            found.keys,
            MappingProxyType(shown),
        )


def encode(
    spec: BlnkoptSpec, size: int, auth: AuthToken, fields: Mapping[str, str | Secret]
) -> bytes:
    """The region's new content, exactly ``size`` bytes.

    Raises ``UsageError``: ``image.region_full``, ``image.bad_value``, ``image.field_missing``; none
    of them repeats a value.
    """
    body = b"".join(
        key.encode("ascii") + b"\0" + _value(key, values.fill(template, auth, fields)) + b"\0"
        for key, template in spec.values.items()
    )
    room = size - len(TAG) - _ENDING
    if len(body) > room:
        raise UsageError("image.region_full", region=spec.name, need=len(body), room=room)
    return (TAG + body).ljust(size, b"\0")


def _is_filled(found: pairs.Pairs) -> bool:
    """Whether a token may be in it. The stock constant has no ``auth``; some products reserve one.

    A placeholder is the word over and over, cut anywhere, or begins with it and is no token.
    """
    auth = found.get(b"auth")
    if not auth or (_PLACEHOLDER * len(auth)).startswith(auth):
        return False
    return not auth.startswith(_PLACEHOLDER) or AuthToken.looks_like(auth.decode("latin-1"))


def _value(key: str, text: str) -> bytes:
    """A value as the firmware will read it back."""
    data = text.encode("utf-8", "surrogatepass")
    if not text.isprintable():
        raise UsageError("image.bad_value", key=key, why="it holds a control character")
    if len(data) > _LIMITS[key]:
        why = f"it has {len(data)} bytes, and the firmware keeps {_LIMITS[key]}"
        raise UsageError("image.bad_value", key=key, why=why)
    if key in {"auth", "host", "port"} and not text.isascii():
        raise UsageError("image.bad_value", key=key, why="only ASCII is allowed in it")
    if key == "port" and not (text.isdigit() and 0 < int(text) < 1 << 16):
        raise UsageError("image.bad_value", key=key, why="it is not a number from 1 to 65535")
    return data
