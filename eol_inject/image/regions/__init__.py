"""The kinds of regions, one module each: where it is, and its new content.

``blnkopt`` and ``placeholder`` lie inside the firmware and keep their size; ``record`` and ``nvs``
have flash of their own, ``eeprom`` a memory of its own.
"""

from collections.abc import Iterator, Mapping
from typing import assert_never

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image.containers import Image
from eol_inject.image.containers.partitions import Partition
from eol_inject.image.regions import blnkopt, eeprom, layout, nvs, placeholder
from eol_inject.image.regions.region import Place, Region, Sighting, State
from eol_inject.image.spec import (
    BlnkoptSpec,
    EepromSpec,
    NvsSpec,
    PlaceholderSpec,
    RecordSpec,
)
from eol_inject.unit import AuthToken, Secret

__all__ = [
    "InsideSpec",
    "OwnPlaceSpec",
    "Place",
    "Region",
    "Sighting",
    "State",
    "encode",
    "encode_eeprom",
    "encode_place",
    "locate",
    "place",
    "sightings",
]

InsideSpec = BlnkoptSpec | PlaceholderSpec
OwnPlaceSpec = RecordSpec | NvsSpec


def locate(image: Image, region: InsideSpec) -> Region:
    """Where ``region`` is in the golden ``image``: found exactly once.

    Raises ``UsageError``: ``image.region_missing``, ``image.region_twice``, ``image.region_torn``,
    ``image.not_golden``.
    """
    match region:
        case BlnkoptSpec():
            return blnkopt.locate(image, region)
        case PlaceholderSpec():
            return placeholder.locate(image, region)
        case _:
            assert_never(region)


def encode(
    region: InsideSpec, size: int, auth: AuthToken, fields: Mapping[str, str | Secret]
) -> bytes:
    """The new content of ``region``: exactly ``size`` bytes, secret.

    Raises ``UsageError``: ``image.region_full``, ``image.bad_value``, ``image.field_missing``.
    """
    match region:
        case BlnkoptSpec():
            return blnkopt.encode(region, size, auth, fields)
        case PlaceholderSpec():
            return placeholder.encode(region, size, auth, fields)
        case _:
            assert_never(region)


def place(region: OwnPlaceSpec, partitions: tuple[Partition, ...]) -> Place:
    """The flash that is ``region``'s own, in whole sectors.

    Raises ``UsageError``: ``image.no_partition``, ``image.partition_small``.
    """
    need = 3 * SECTOR if isinstance(region, NvsSpec) else -(-region.width // SECTOR) * SECTOR
    if region.address is not None:
        size = region.size if isinstance(region, NvsSpec) and region.size else need
        return Place(region.name, region.kind, region.address, size)
    row = next((row for row in partitions if row.label == region.partition), None)
    if row is None:
        known = ", ".join(row.label for row in partitions) or "none"
        raise UsageError("image.no_partition", label=region.partition, known=known)
    if row.size < need or row.address % SECTOR or row.size % SECTOR:
        raise UsageError("image.partition_small", label=row.label, size=row.size, need=need)
    return Place(
        region.name, region.kind, row.address, row.size if isinstance(region, NvsSpec) else need
    )


def encode_place(
    region: OwnPlaceSpec,
    size: int,
    auth: AuthToken,
    fields: Mapping[str, str | Secret],
    existing: bytes | None,
) -> bytes:
    """The new content of a place: exactly ``size`` bytes, secret.

    ``existing`` is what the unit holds there; ``nvs`` wants it, ``record`` replaces it. Raises
    ``UsageError``: ``image.bad_value``, ``image.field_missing``, and those of ``nvs.encode``.
    """
    match region:
        case RecordSpec():
            return layout.encode(region, auth, fields).ljust(size, b"\xff")
        case NvsSpec():
            return nvs.encode(region, size, auth, fields, existing)
        case _:
            assert_never(region)


def encode_eeprom(
    areas: tuple[EepromSpec, ...], auth: AuthToken, fields: Mapping[str, str | Secret]
) -> bytes:
    """All EEPROM areas as one Intel HEX file.

    Raises ``UsageError``: ``image.bad_value``, ``image.field_missing``, ``image.places_overlap``.
    """
    return eeprom.to_hex((area.offset, layout.encode(area, auth, fields)) for area in areas)


def sightings(image: Image) -> Iterator[Sighting]:
    """Every region of a kind that can be recognised without a profile."""
    yield from blnkopt.sightings(image)
