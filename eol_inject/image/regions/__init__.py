"""The kinds of regions, one module each: where it is in a golden image, and its new content."""

from collections.abc import Iterator, Mapping

from eol_inject.image.containers.esp import EspImage
from eol_inject.image.regions import blnkopt
from eol_inject.image.regions.region import Region, Sighting, State
from eol_inject.image.spec import RegionSpec
from eol_inject.unit import AuthToken, Secret

__all__ = ["Region", "Sighting", "State", "encode", "locate", "sightings"]


def locate(image: EspImage, region: RegionSpec) -> Region:
    """Where ``region`` is in the golden ``image``: found exactly once.

    Raises ``UsageError``: ``image.region_missing``, ``image.region_twice``, ``image.region_torn``,
    ``image.not_golden``.
    """
    return blnkopt.locate(image, region)


def encode(
    region: RegionSpec, size: int, auth: AuthToken, fields: Mapping[str, str | Secret]
) -> bytes:
    """The new content of ``region``: exactly ``size`` bytes, secret.

    Raises ``UsageError``: ``image.region_full``, ``image.bad_value``, ``image.field_missing``.
    """
    return blnkopt.encode(region, size, auth, fields)


def sightings(image: EspImage) -> Iterator[Sighting]:
    """Every region of a kind that can be recognised without a profile."""
    yield from blnkopt.sightings(image)
