"""Regions inside applications: for each slot what is in it, one place at least.

``blnkopt`` is found by its tag in any firmware. A ``placeholder`` that was filled has no mark, so
it is looked for only where the bytes around it say that the firmware is the golden one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from eol_inject.verify import blnkopt, regions
from eol_inject.verify.application import Application, read_application
from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.flash import Flash, is_erased
from eol_inject.verify.places import Place
from eol_inject.verify.slots import Slot
from eol_inject.verify.spec import Blnkopt, Placeholder, RegionAt, Where

_CHUNK: Final = 0x4000
_ABSENT: Final = Content(PlaceState.ABSENT)


@dataclass(frozen=True, slots=True)
class Inside:
    """A region's place, and whether an application that can start is around it."""

    place: Place
    application: int
    """Flash address of the application, or of the slot that has none."""
    starts: bool
    there: bool
    """Whether the application has such a region at all."""


def look(flash: Flash, slot: Slot, where: Where, region: RegionAt | None) -> Iterator[Inside]:
    """The region, or each of several, of the application in a slot; ``region`` None for none."""
    app = read_application(flash, slot.address, slot.end, where)
    if app is None:
        yield Inside(_no_application(flash, slot), slot.address, starts=False, there=False)
        return
    right_chip = where.image_chip_id is None or app.chip_id == where.image_chip_id
    for number, (address, content) in enumerate(_find(flash, app, slot.end, region), 1):
        name = slot.name if number == 1 else f"{slot.name} ({number})"
        yield Inside(
            Place.of(name, address, content, slot.bootable),
            app.address,
            starts=right_chip and app.whole,
            there=content.state is not PlaceState.ABSENT,
        )


def _no_application(flash: Flash, slot: Slot) -> Place:
    head = flash.upto(slot.address, 16, slot.end)
    content = _ABSENT
    if not is_erased(head):
        content = replace(_ABSENT, why="no application")
        if flash.looks_encrypted(slot.address):
            content = Content(PlaceState.ENCRYPTED, why="encrypted flash")
    return Place.of(slot.name, slot.address, content, slot.bootable)


def _find(
    flash: Flash, app: Application, end: int, region: RegionAt | None
) -> list[tuple[int, Content]]:
    """(address, content) of each region."""
    if region is not None and isinstance(region.form, Blnkopt):
        return _tagged(flash, app, end, region)
    if region is not None and isinstance(region.form, Placeholder):
        return [_run(flash, app, end, region, region.form)]
    return [(app.address, replace(_ABSENT, why="an application"))]


def _tagged(
    flash: Flash, app: Application, end: int, region: RegionAt
) -> list[tuple[int, Content]]:
    """``blnkopt``: at the place it has in the golden image, else by a search."""
    hint = b""
    if region.offset is not None:
        at = app.address + region.offset
        hint = flash.upto(at, blnkopt.WINDOW, end) if at < end else b""
        if hint.startswith(blnkopt.TAG):
            return [(at, regions.decode_found(hint, region.size))]
    for segment in app.rodata_first():
        found = [
            (at, regions.decode_found(flash.upto(at, blnkopt.WINDOW, segment.end), None))
            for at in _search(flash, segment.address, segment.end)
        ]
        if found:
            return found
    if not app.whole:
        return [(app.address, Content(PlaceState.TORN, why=app.why))]
    if hint and is_erased(hint[: region.size or len(blnkopt.TAG)]):
        return [(app.address + (region.offset or 0), Content(PlaceState.BLANK, why="erased"))]
    return [(app.address, replace(_ABSENT, why="an application without blnkopt"))]


def _run(
    flash: Flash, app: Application, end: int, region: RegionAt, form: Placeholder
) -> tuple[int, Content]:
    """``placeholder``: only at its place in the golden image, between the golden image's bytes."""
    at = app.address + (region.offset or 0)
    start, size = at - len(region.before), len(region.before) + (region.size or 0)
    data = flash.upto(start, size + len(region.behind), end) if start < end else b""
    body = data[len(region.before) : size]
    if data.startswith(region.before) and data[size:] == region.behind:
        return at, regions.decode_region(body, form)
    if not app.whole:
        return app.address, Content(PlaceState.TORN, why=app.why)
    if body and is_erased(body):
        return at, Content(PlaceState.BLANK, why="erased")
    return app.address, replace(_ABSENT, why="another firmware")


def _search(flash: Flash, start: int, end: int) -> Iterator[int]:
    """Addresses of the tag between ``start`` and ``end``, also across two chunks."""
    tail = b""
    for at in range(start, end, _CHUNK):
        data = tail + flash.read(at, min(_CHUNK, end - at))
        base = at - len(tail)
        position = data.find(blnkopt.TAG)
        while position >= 0:
            yield base + position
            position = data.find(blnkopt.TAG, position + 1)
        tail = data[-(len(blnkopt.TAG) - 1) :]
