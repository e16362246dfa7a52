"""What a unit behind an external programmer holds: a region in one of its memories, read whole.

Such firmware reads its region and nothing else. A region in the firmware is known by the golden
bytes around it; in another firmware nothing can be known but that a token of ours stands in it.
"""

import re
from collections.abc import Iterator
from typing import Final

from eol_inject.unit import AuthToken
from eol_inject.verify import regions
from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.flash import is_erased
from eol_inject.verify.places import Findings, Place, TableState
from eol_inject.verify.spec import InMemory

_RUN: Final = re.compile(rb"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])")


def survey(data: bytes, place: InMemory) -> Findings:
    """What ``data`` says: the region with the bytes around it, ``place.span`` of its memory."""
    body = data[len(place.before) : len(place.before) + place.size]
    content = regions.decode_region(body, place.form)
    if not (data.startswith(place.before) and data.endswith(place.behind)):
        content = _another(data)
    holds = content.state is PlaceState.TOKEN
    found = Place(
        place.memory, place.address, content.state, content.auth,
        bootable=True, used=holds, why=content.why,
    )  # fmt: skip
    return Findings(
        places=(found,),
        effective=content.auth if holds else None,
        table=TableState.NONE,
        boots=place.memory if content.state is not PlaceState.ABSENT else "",
    )


def _another(data: bytes) -> Content:
    if is_erased(data):
        return Content(PlaceState.BLANK, why="erased")
    return Content(PlaceState.ABSENT, why="another firmware")


def tokens(data: bytes) -> Iterator[tuple[int, AuthToken]]:
    """(offset, text) of everything in ``data`` that stands alone and has a token's shape.

    Most of it will be none: whoever asks knows which ones are.
    """
    for run in _RUN.finditer(data):
        yield run.start(), AuthToken(run[0].decode("ascii"))
