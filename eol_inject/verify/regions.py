"""Every reading of a region is done twice, by ``blnkopt``'s walk and by ``witness``'s search."""

from collections.abc import Mapping
from typing import Literal

from eol_inject.unit import Secret
from eol_inject.verify import blnkopt, witness
from eol_inject.verify.content import Content, PlaceState


def decode_region(data: bytes, kind: Literal["blnkopt"]) -> Content:
    """What the region in ``data``, all of it and nothing else, says to the firmware."""
    match kind:
        case "blnkopt":
            return _witnessed(blnkopt.decode(data, exact=True), data)


def decode_found(data: bytes, size: int | None) -> Content:
    """What a region found at the start of the window ``data`` says; see ``blnkopt``."""
    return _witnessed(blnkopt.decode_found(data, size), data)


def differing_values(content: Content, wanted: Mapping[str, str | Secret]) -> tuple[str, ...]:
    """Names of the keys, the token's apart, that do not stand in the region as ``wanted``."""
    keys = {*wanted, *content.values} - {"auth"}
    return tuple(
        sorted(key for key in keys if _plain(content.values.get(key)) != _plain(wanted.get(key)))
    )


def _witnessed(content: Content, data: bytes) -> Content:
    if content.state is not PlaceState.TOKEN or content.auth is None:
        return content
    if content.auth.reveal() == witness.token_in(data):
        return content
    return Content(PlaceState.TORN, content.auth, content.values, "two readings disagree")


def _plain(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value
