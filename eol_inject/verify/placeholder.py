"""Reads a ``placeholder`` region: a run of bytes in the application, filled to its length."""

import re
from typing import Final

from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.flash import ERASED, is_erased
from eol_inject.verify.spec import Placeholder
from eol_inject.verify.values import judge

_FILL: Final = {"nul": b"\0", "space": b" "}


def decode(data: bytes, form: Placeholder) -> Content:
    """What the run in ``data``, all of it, holds."""
    if is_erased(data):
        return Content(PlaceState.BLANK, why="erased")
    if _is_mark(data, form):
        return Content(PlaceState.BLANK, why="the placeholder")
    if ERASED in data:
        return Content(PlaceState.TORN, why="half erased")
    body = data.rstrip(_FILL[form.fill])
    if not body:
        return Content(PlaceState.BLANK, why="empty")
    if b"\0" in body:
        return Content(PlaceState.TORN, why="bytes behind the value's end")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return Content(PlaceState.TORN, why="bytes that are no text")
    return judge({"value": (form.value, text)})


def _is_mark(data: bytes, form: Placeholder) -> bool:
    if form.text is not None:
        return data == form.text.encode()
    return form.pattern is not None and re.fullmatch(form.pattern.encode(), data) is not None
