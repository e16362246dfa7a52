"""Looks at every place where the firmware would look, and says what it would really use.

Order of the firmware (blynk.md): a saved configuration that is marked valid beats the region; the
region counts only while there is none. New Edgent has no region: it takes its saved string, after
taking over classic's configuration.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eol_inject.verify import blnkopt, edgent, nvs, regions
from eol_inject.verify.application import Application, read_application
from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.flash import Flash, Reader, is_erased
from eol_inject.verify.nvs import Nvs
from eol_inject.verify.places import Findings, Place, PlaceKind
from eol_inject.verify.slots import Saved, Slot, layout
from eol_inject.verify.spec import Where

_NAMESPACE: Final = "blynk"
_CHUNK: Final = 0x4000
_ABSENT: Final = Content(PlaceState.ABSENT)


@dataclass(frozen=True, slots=True)
class _Region:
    """A region's place, and whether an application that can start is around it."""

    place: Place
    starts: bool
    tagged: bool


def inspect(
    read: Reader, where: Where, *, flash_size: int, planned_table: bytes | None = None
) -> Findings:
    """What the unit behind ``read`` holds.

    ``planned_table``: the partition table that the cycle is going to write, so that the places it
    will bring into use are looked at too. A few kilobytes are read where the golden firmware is on
    the unit; another firmware is searched through.

    Raises ``UnitError("verify.beyond_flash")``, ``StationError("verify.short_read")``, and what
    ``planned_table`` is refused for. Damage on the unit is a finding, not an error.
    """
    flash = Flash(read, flash_size)
    plan = layout(flash, where, planned_table)
    found = [region for slot in plan.slots for region in _regions(flash, slot, where)]
    starting = [r for r in found if r.starts and r.place.bootable]
    saved = [_look_at_saved(flash, place) for place in plan.saved]
    places = [region.place for region in found] + [p for s in saved for p in s.places]
    used = _used(starting, [p for s in saved if s.saved.live for p in s.places])
    stale = [s for s in saved if s.beats]
    return Findings(
        places=tuple(replace(place, used=place is used) for place in places),
        effective=used.auth if used is not None and used.state is PlaceState.TOKEN else None,
        table=plan.table,
        boots=starting[0].place.name if starting else "",
        stale=tuple((s.saved.address, s.saved.size) for s in stale),
        lost=tuple(name for s in stale for name in s.others),
        notes=plan.notes,
        trouble=plan.trouble,
    )


def _used(starting: Sequence[_Region], saved: Sequence[Place]) -> Place | None:
    """The place that the application which starts takes its token from."""
    if not starting:
        return None
    first = starting[0]
    beats = [p for p in saved if p.kind is PlaceKind.CONFIG and _holds(p)]
    if beats:
        return beats[0]
    if first.tagged:
        return first.place if first.place.state is PlaceState.TOKEN else None
    return next((p for p in saved if p.kind is PlaceKind.AUTH and _holds(p)), None)


def _holds(place: Place) -> bool:
    return place.state in {PlaceState.TOKEN, PlaceState.TORN}


def _regions(flash: Flash, slot: Slot, where: Where) -> Iterator[_Region]:
    """The region, or each of several, of the application in a slot; one place at least."""
    app = read_application(flash, slot.address, slot.end, where)
    if app is None:
        yield _Region(_no_application(flash, slot), starts=False, tagged=False)
        return
    right_chip = where.image_chip_id is None or app.chip_id == where.image_chip_id
    starts = right_chip and app.whole
    found = list(_find(flash, app, slot.end, where))
    for number, (address, content) in enumerate(found, 1):
        name = slot.name if number == 1 else f"{slot.name} ({number})"
        place = _place(name, address, content, slot.bootable)
        tagged = content.state is not PlaceState.ABSENT
        yield _Region(place, starts=starts, tagged=tagged)


def _no_application(flash: Flash, slot: Slot) -> Place:
    head = flash.upto(slot.address, 16, slot.end)
    content = _ABSENT
    if not is_erased(head):
        content = replace(_ABSENT, why="no application")
        if flash.looks_encrypted(slot.address):
            content = Content(PlaceState.ENCRYPTED, why="encrypted flash")
    return _place(slot.name, slot.address, content, slot.bootable)


def _find(flash: Flash, app: Application, end: int, where: Where) -> list[tuple[int, Content]]:
    """(address, content) of each region: at the hint, else of the first segment that has any."""
    hint = b""
    if where.hint is not None:
        at = app.address + where.hint
        hint = flash.upto(at, blnkopt.WINDOW, end) if at < end else b""
        if hint.startswith(blnkopt.TAG):
            return [(at, regions.decode_found(hint, where.size))]
    for segment in app.rodata_first():
        found = [
            (at, regions.decode_found(flash.upto(at, blnkopt.WINDOW, segment.end), None))
            for at in _search(flash, segment.address, segment.end)
        ]
        if found:
            return found
    if not app.whole:
        return [(app.address, Content(PlaceState.TORN, why=app.why))]
    if hint and is_erased(hint[: where.size or len(blnkopt.TAG)]):
        return [(app.address + (where.hint or 0), Content(PlaceState.BLANK, why="erased"))]
    return [(app.address, replace(_ABSENT, why="an application without blnkopt"))]


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


def _place(
    name: str,
    address: int,
    content: Content,
    bootable: bool,
    kind: PlaceKind = PlaceKind.REGION,
) -> Place:
    return Place(name, address, content.state, content.auth, bootable, kind, False, content.why)


@dataclass(frozen=True, slots=True)
class _Read:
    """What a place for saved configuration gave."""

    saved: Saved
    places: tuple[Place, ...]
    others: tuple[str, ...] = ()

    @property
    def beats(self) -> bool:
        """Whether something in it would be used in place of the region."""
        return any(_holds(place) for place in self.places)


def _look_at_saved(flash: Flash, saved: Saved) -> _Read:
    if not saved.nvs:
        content = edgent.decode_config(flash.read(saved.address, edgent.CONFIG_SIZE))
        return _Read(saved, (_place("eeprom", saved.address, content, True, PlaceKind.CONFIG),))
    partition = nvs.read_partition(flash, saved.address, saved.size)
    places = tuple(
        _place(f"nvs {_NAMESPACE}/{key}", saved.address, content, saved.live, kind)
        for key, kind, content in _saved_entries(partition)
    )
    others = tuple(name for name in partition.namespaces if name != _NAMESPACE)
    return _Read(saved, places, others)


def _saved_entries(partition: Nvs) -> Iterator[tuple[str, PlaceKind, Content]]:
    if partition.encrypted:
        yield "config", PlaceKind.CONFIG, Content(PlaceState.ENCRYPTED, why="encrypted NVS")
        return
    blob = partition.blob(_NAMESPACE, "config")
    config = _ABSENT if blob is None else edgent.decode_config(blob)
    yield "config", PlaceKind.CONFIG, config
    string = partition.string(_NAMESPACE, "auth")
    auth = _ABSENT if string is None else edgent.decode_auth(string)
    yield "auth", PlaceKind.AUTH, auth
