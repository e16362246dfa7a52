"""Where on this unit applications and saved configuration stand, in the order of booting."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from eol_inject.errors import UnitError
from eol_inject.verify import otadata, partitions
from eol_inject.verify.flash import SECTOR, Flash
from eol_inject.verify.otadata import OtaState
from eol_inject.verify.partitions import Partition
from eol_inject.verify.places import TableState
from eol_inject.verify.spec import RegionAt, Where

_NVS_LABEL: Final = "nvs"
"""The one partition that nvs_flash_init, and so Preferences, opens."""
_EEPROM_FROM_END: Final = 5
"""ESP8266's EEPROM is the last-but-four sector of its flash, by SDK layout."""
_UNCONFIRMED: Final = (
    "The selected application has not confirmed its first start: a firmware with rollback would go "
    "back to the other one."
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for an application, from ``address`` to ``end``."""

    name: str
    address: int
    end: int
    bootable: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A place for saved configuration: an NVS partition, or the EEPROM sector."""

    address: int
    size: int
    nvs: bool
    live: bool
    """Whether the unit's own table names it, so that its firmware would look here."""


@dataclass(frozen=True, slots=True)
class OwnPlace:
    """Flash of the token's region alone."""

    name: str
    address: int
    size: int
    live: bool
    """Whether it is where the unit's present firmware would look."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is to be looked at; ``slots`` in the order in which the unit tries them."""

    table: TableState
    slots: tuple[Slot, ...]
    saved: tuple[Saved, ...]
    own: tuple[OwnPlace, ...] = ()
    notes: tuple[str, ...] = ()
    trouble: UnitError | None = None


def layout(flash: Flash, where: Where, planned: bytes | None) -> Plan:
    """By the unit's own table, then by the one that ``planned`` will write, then the profile."""
    if where.partition_table is None:
        eeprom = flash.size - _EEPROM_FROM_END * SECTOR
        slot = Slot("application", where.app_address, max(eeprom, 0), bootable=True)
        saved = (Saved(eeprom, SECTOR, nvs=False, live=True),) if eeprom > 0 else ()
        return Plan(TableState.NONE, (slot,), saved, _own(where.region, (), ()))
    trouble = None
    try:
        table = partitions.read_table(flash, where.partition_table)
        state = TableState.ERASED if table is None else TableState.GOOD
    except UnitError as error:
        table, trouble = None, error
        encrypted = error.code == "verify.encrypted"
        state = TableState.ENCRYPTED if encrypted else TableState.CORRUPT
    rows = table or ()
    records = otadata.read_records(flash, rows)
    slots = [_slot(row, bootable=True) for row in otadata.boot_order(rows, records)]
    coming = _planned(planned, where.partition_table, flash.size)
    slots += _others(slots, coming, where, flash.size)
    own = _own(where.region, rows, coming)
    notes = tuple(_notes(rows, records))
    return Plan(state, tuple(slots), _saved(rows, coming), own, notes, trouble)


def _slot(row: Partition, *, bootable: bool) -> Slot:
    return Slot(f"application {row.label}", row.address, row.end, bootable)


def _planned(data: bytes | None, address: int, flash_size: int) -> Sequence[Partition]:
    if data is None:
        return ()
    return partitions.parse_table(data, address=address, flash_size=flash_size) or ()


def _others(
    slots: Sequence[Slot], coming: Sequence[Partition], where: Where, flash_size: int
) -> list[Slot]:
    """Slots that the unit's own table does not have, but the firmware to be written will."""
    known = {slot.address for slot in slots}
    more = [
        _slot(row, bootable=False)
        for row in otadata.boot_order(coming, ())
        if row.address not in known
    ]
    if where.app_address not in known | {slot.address for slot in more}:
        name = f"application at 0x{where.app_address:X}"
        more.append(Slot(name, where.app_address, flash_size, bootable=False))
    return more


def _saved(rows: Sequence[Partition], coming: Sequence[Partition]) -> tuple[Saved, ...]:
    own = [Saved(row.address, row.size, nvs=True, live=True) for row in _nvs(rows)]
    later = [
        Saved(row.address, row.size, nvs=True, live=False)
        for row in _nvs(coming)
        if row.address not in {saved.address for saved in own}
    ]
    return (*own, *later)


def _own(
    region: RegionAt, rows: Sequence[Partition], coming: Sequence[Partition]
) -> tuple[OwnPlace, ...]:
    """The flash of a region that has its own, by the unit's table and by the one to be written."""
    if region.inside or region.edgent:
        return ()
    if region.address is not None:
        size = region.size or SECTOR
        return (OwnPlace(f"region at 0x{region.address:X}", region.address, size, live=True),)
    found: dict[int, OwnPlace] = {}
    for table, live in ((rows, True), (coming, False)):
        for row in table:
            if row.label == region.partition and row.address not in found:
                name = f"partition {row.label}"
                found[row.address] = OwnPlace(name, row.address, row.size, live)
    return tuple(found.values())


def _nvs(rows: Iterable[Partition]) -> list[Partition]:
    return [
        row
        for row in rows
        if (row.type, row.subtype, row.label) == (partitions.DATA, partitions.NVS, _NVS_LABEL)
    ]


def _notes(rows: Sequence[Partition], records: Sequence[otadata.OtaRecord]) -> list[str]:
    chosen = otadata.active(records)
    if rows and chosen is not None and chosen.state in {OtaState.NEW, OtaState.PENDING}:
        return [_UNCONFIRMED]
    return []
