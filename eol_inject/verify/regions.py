"""Reads a region of any kind, and every token twice: by its decoder and by ``witness``'s search."""

from typing import Literal, assert_never

from eol_inject.verify import blnkopt, entries, layout, placeholder, witness
from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.spec import Blnkopt, Layout, NvsEntries, Placeholder, RegionForm


def decode_region(data: bytes, form: RegionForm | Literal["blnkopt"]) -> Content:
    """What the region in ``data``, all of it and nothing else, says to the firmware."""
    match form:
        case "blnkopt" | Blnkopt():
            return _witnessed(blnkopt.decode(data, exact=True), witness.token_in(data))
        case Placeholder():
            return _searched(placeholder.decode(data, form), data)
        case Layout():
            return _searched(layout.decode(data, form), data)
        case NvsEntries():
            return _searched(entries.decode(data, form), data)
        case _:
            assert_never(form)


def decode_found(data: bytes, size: int | None) -> Content:
    """What a region found at the start of the window ``data`` says; see ``blnkopt``."""
    return _witnessed(blnkopt.decode_found(data, size), witness.token_in(data))


def _searched(content: Content, data: bytes) -> Content:
    """Kinds whose form is the product's own have one witness: the token's very bytes."""
    if content.auth is None:
        return content
    text = content.auth.reveal()
    return _witnessed(content, text if text.encode("ascii") in data else None)


def _witnessed(content: Content, seen: str | None) -> Content:
    if content.state is not PlaceState.TOKEN or content.auth is None:
        return content
    if content.auth.reveal() == seen:
        return content
    return Content(PlaceState.TORN, content.auth, content.values, "two readings disagree")
