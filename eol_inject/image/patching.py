"""A golden image and the copies made of it, one for each unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import containers, identity, plans, regions, seals, signatures
from eol_inject.image.containers import Kind, partitions
from eol_inject.image.containers.esp import EspImage
from eol_inject.image.containers.partitions import Partition
from eol_inject.image.plans import Plan, Span
from eol_inject.image.regions import InsideSpec, OwnPlaceSpec, Region
from eol_inject.image.seals import Change
from eol_inject.image.spec import AnyRegionSpec, EepromSpec, carries_auth
from eol_inject.unit import AuthToken, Secret

_NOTHING: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Block:
    """Flash beside the application that a region has to itself. It may hold the token."""

    name: str
    address: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patched:
    """One unit's image: as long as the golden one, sealed again. It may hold the token."""

    data: bytes = field(repr=False)
    regions: tuple[Region, ...]
    blocks: tuple[Block, ...] = ()
    """What goes beside it: regions of kind ``record`` and ``nvs``."""
    eeprom: bytes | None = field(default=None, repr=False)
    """Intel HEX for the programmer: regions of kind ``eeprom``."""


class Golden:
    """The common image of a product, judged once and patched for each unit.

    ``parts`` are the other files of the product (flash address, content): a partition table among
    them says where partitions are. Raises ``UsageError`` with the code of the first thing that is
    wrong: see ``containers.look``, ``regions.locate``, ``regions.place``, ``identity.require``, and
    ``image.two_slots``, ``image.no_application``, ``image.bad_seal``, ``image.signed``,
    ``image.auth_places``, ``image.places_overlap``.
    """

    def __init__(
        self,
        data: bytes,
        specs: Sequence[AnyRegionSpec],
        *,
        chip: str | None = None,
        expect_type: str | None = None,
        expect_version: str | None = None,
        parts: Sequence[tuple[int, bytes]] = (),
        raw_at: int | None = None,
    ) -> None:
        carrying = [spec.name for spec in specs if carries_auth(spec)]
        if len(carrying) != 1:
            raise UsageError("image.auth_places", count=len(carrying))
        self._container = containers.look(data, chip=chip, raw_at=raw_at)
        self.image = self._container.application()
        self.data = self.image.data
        identity.require(self.image, fw_type=expect_type, version=expect_version)
        self._inside = [spec for spec in specs if isinstance(spec, InsideSpec)]
        self._own = [spec for spec in specs if isinstance(spec, OwnPlaceSpec)]
        self._eeprom = tuple(spec for spec in specs if isinstance(spec, EepromSpec))
        self.regions = tuple(regions.locate(self.image, spec) for spec in self._inside)
        self._rows = rows = self._container.partitions or _partitions(parts)
        self.places = tuple(regions.place(spec, rows) for spec in self._own)
        _require_apart([(r.offset, r.size) for r in self.regions])
        _require_apart([(p.address, p.size) for p in self.places])
        first = min((region.offset for region in self.regions), default=self.image.start)
        self._sealer = seals.sealer(self.image, first)
        self._require_sound()
        self._spans: dict[tuple[int, ...], tuple[Span, ...]] = {}

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The product's own partition table; empty where none of its files has one."""
        return self._rows

    def require_slot(self, address: int) -> None:
        """That the product's own partition table has an application slot where it is written.

        Raises ``UsageError("image.no_slot")``.
        """
        slots = [row.address for row in self._rows if row.is_application]
        if slots and self._container.kind is not Kind.MERGED and address not in slots:
            known = ", ".join(f"{slot:#x}" for slot in slots)
            raise UsageError("image.no_slot", address=f"{address:#x}", known=known)

    def patch(
        self,
        auth: AuthToken,
        fields: Mapping[str, str | Secret],
        *,
        existing: Mapping[str, bytes] = _NOTHING,
    ) -> Patched:
        """The image of the unit that gets ``auth``.

        ``existing`` holds by region name what the unit has in a place of its own: an NVS with other
        data is not wiped silently. Raises ``UsageError``: see ``regions.encode`` and
        ``regions.encode_place``.
        """
        changes = [
            Change(region.offset, regions.encode(spec, region.size, auth, fields))
            for spec, region in zip(self._inside, self.regions, strict=True)
        ]
        container = self._container
        data = container.file(self._sealer.apply(changes)) if changes else container.data
        blocks = tuple(
            Block(
                place.name,
                place.address,
                regions.encode_place(spec, place.size, auth, fields, existing.get(place.name)),
            )
            for spec, place in zip(self._own, self.places, strict=True)
        )
        eeprom = regions.encode_eeprom(self._eeprom, auth, fields) if self._eeprom else None
        if container.kind is Kind.MERGED:
            data, blocks = _merged(data, blocks)
        return Patched(data, self.regions, blocks, eeprom)

    def require_fits(self, auth: AuthToken, fields: Mapping[str, str | Secret]) -> None:
        """That ``patch`` would take them, for a unit whose places are erased; nothing is sealed.

        Raises ``UsageError`` as ``patch`` does.
        """
        for inside, region in zip(self._inside, self.regions, strict=True):
            regions.encode(inside, region.size, auth, fields)
        for own, place in zip(self._own, self.places, strict=True):
            regions.encode_place(own, place.size, auth, fields, b"\xff" * place.size)
        if self._eeprom:
            regions.encode_eeprom(self._eeprom, auth, fields)

    def plan(self, patched: Patched, address: int) -> Plan:
        """How to turn a flash that holds the golden image at ``address`` into the unit's.

        Raises ``UsageError``: ``image.not_plannable``, ``image.places_overlap``.
        """
        if self._container.kind is Kind.HEX:
            raise UsageError("image.not_plannable", why="Intel HEX goes to its programmer whole")
        changed = plans.changed_sectors(self.data, patched.data, address)
        _require_apart(
            [(address, len(self.data)), *((b.address, len(b.data)) for b in patched.blocks)]
        )
        key = (address, *changed)
        if key not in self._spans:
            self._spans[key] = plans.spans(self.data, changed, address)
        blocks = tuple(
            (block.address + at, block.data[at : at + SECTOR])
            for block in patched.blocks
            for at in range(0, len(block.data), SECTOR)
        )
        sectors = plans.contents(patched.data, changed, address) + blocks
        return Plan(tuple(sorted(sectors)), self._spans[key])

    def _require_sound(self) -> None:
        """A damaged image would be sealed into a valid one, a signed one into a dead unit."""
        seal = self._sealer.seal()
        if not seal.valid:
            what = "checksum" if not seal.checksum else str(seal.digest)
            raise UsageError("image.bad_seal", what=what)
        if self._container.crc_valid() is False:
            raise UsageError("image.bad_seal", what="CRC of the whole file")
        if isinstance(self.image, EspImage) and self.regions:
            signature = signatures.find(self.image)
            if signature is not None:
                raise UsageError("image.signed", scheme=signature.scheme)


def patch(
    golden: bytes,
    specs: Sequence[AnyRegionSpec],
    auth: AuthToken,
    fields: Mapping[str, str | Secret],
    *,
    chip: str | None = None,
    expect_type: str | None = None,
    expect_version: str | None = None,
) -> Patched:
    """One unit's image from the golden one. Raises what ``Golden`` and ``Golden.patch`` raise."""
    judged = Golden(
        golden, specs, chip=chip, expect_type=expect_type, expect_version=expect_version
    )
    return judged.patch(auth, fields)


def _partitions(parts: Sequence[tuple[int, bytes]]) -> tuple[Partition, ...]:
    """The partition table among the product's other files."""
    for _, data in parts:
        if partitions.looks_like(data, 0):
            return partitions.parse(data, 0) or ()
    return ()


def _merged(data: bytes, blocks: tuple[Block, ...]) -> tuple[bytes, tuple[Block, ...]]:
    """A merged image is the flash from address 0: blocks inside it become part of it."""
    inside = [block for block in blocks if block.address + len(block.data) <= len(data)]
    for block in inside:
        data = data[: block.address] + block.data + data[block.address + len(block.data) :]
    return data, tuple(block for block in blocks if block not in inside)


def _require_apart(ranges: Sequence[tuple[int, int]]) -> None:
    """No two of ``ranges`` (start, size) share a byte."""
    end = -1
    for start, size in sorted(ranges):
        if start < end:
            raise UsageError("image.places_overlap", address=f"{start:#x}")
        end = start + size
