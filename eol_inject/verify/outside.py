"""Places outside of applications: saved configuration, and regions in flash of their own."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from eol_inject.verify import edgent, entries, nvs, regions
from eol_inject.verify.content import Content, PlaceState
from eol_inject.verify.flash import Flash
from eol_inject.verify.layout import width
from eol_inject.verify.nvs import Nvs
from eol_inject.verify.places import Place, PlaceKind
from eol_inject.verify.slots import OwnPlace, Saved
from eol_inject.verify.spec import Layout, NvsEntries, RegionAt

_NAMESPACE: Final = "blynk"
_ABSENT: Final = Content(PlaceState.ABSENT)


@dataclass(frozen=True, slots=True)
class Outside:
    """What a stretch of flash for saved configuration gave."""

    saved: Saved
    places: tuple[Place, ...]
    others: tuple[str, ...] = ()
    """Namespaces of others in it."""

    def holds_any(self, kinds: Collection[PlaceKind]) -> bool:
        """Whether a place of one of these kinds holds something."""
        return any(holds(place) and place.kind in kinds for place in self.places)


def holds(place: Place) -> bool:
    """Whether the firmware would take a token from here, or fail over what it finds."""
    return place.state in {PlaceState.TOKEN, PlaceState.TORN}


def look_at_saved(flash: Flash, saved: Saved) -> Outside:
    """Edgent's own configuration in an NVS partition, or in ESP8266's EEPROM sector."""
    if not saved.nvs:
        content = edgent.decode_config(flash.read(saved.address, edgent.CONFIG_SIZE))
        kept = Place.of("eeprom", saved.address, content, saved.live, PlaceKind.CONFIG)
        return Outside(saved, (kept,))
    partition = nvs.read_partition(flash, saved.address, saved.size)
    kinds = tuple(
        Place.of(f"nvs {_NAMESPACE}/{key}", saved.address, content, saved.live, kind)
        for key, kind, content in _saved_entries(partition)
    )
    others = tuple(name for name in partition.namespaces if name != _NAMESPACE)
    return Outside(saved, kinds, others)


def look_at_own(flash: Flash, own: OwnPlace, region: RegionAt) -> Place:
    """A region in flash of its own."""
    content = _ABSENT
    if isinstance(region.form, Layout):
        content = regions.decode_region(
            flash.upto(own.address, width(region.form), own.address + own.size), region.form
        )
    elif isinstance(region.form, NvsEntries):
        content = entries.read(nvs.read_partition(flash, own.address, own.size), region.form)
    return Place.of(own.name, own.address, content, own.live)


def _saved_entries(partition: Nvs) -> Iterator[tuple[str, PlaceKind, Content]]:
    if partition.encrypted:
        yield "config", PlaceKind.CONFIG, Content(PlaceState.ENCRYPTED, why="encrypted NVS")
        return
    blob = partition.blob(_NAMESPACE, "config")
    yield "config", PlaceKind.CONFIG, _ABSENT if blob is None else edgent.decode_config(blob)
    string = partition.string(_NAMESPACE, "auth")
    yield "auth", PlaceKind.AUTH, _ABSENT if string is None else edgent.decode_auth(string)
