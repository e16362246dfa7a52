"""What the unit holds, read with verify's readers over the device: before, and after the write."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Self

from eol_inject import verify
from eol_inject.chips import SECTOR
from eol_inject.device import Device, Identity
from eol_inject.errors import StationError, UnitError, UsageError
from eol_inject.image import Patched
from eol_inject.image.firmware import Firmware
from eol_inject.ledger import Ledger
from eol_inject.profiles import Profile
from eol_inject.station.resume import Next
from eol_inject.station.rework import is_former
from eol_inject.unit import AuthToken, Secret, Unit
from eol_inject.verify import Findings, PlaceKind, PlaceState, Where

_TABLE_SIZE = 0xC00
"""Bytes of a partition table that can hold entries; the rest of its sector is unused."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Flash that is the same in every unit, and its MD5, made once."""

    address: int
    data: bytes = field(repr=False)
    md5: str

    @classmethod
    def of(cls, address: int, data: bytes) -> Self:
        """Of these bytes."""
        return cls(address, data, _md5(data))

    def holds(self, address: int, size: int) -> bool:
        """Whether these bytes lie inside of it."""
        return self.address <= address and address + size <= self.address + len(self.data)


@dataclass(frozen=True)  # without slots: what all units have in common is made at the first one
class Product:
    """What a run flashes, and who knows the tokens."""

    profile: Profile
    ledger: Ledger
    firmware: Firmware
    where: Where
    """Where the unit's token can be, for verify's readers."""

    @cached_property
    def golden(self) -> tuple[Stretch, ...]:
        """The application around what a token changes."""
        files = self.firmware
        return tuple(Stretch.of(span.address, files.golden_bytes(span)) for span in files.rest)

    @cached_property
    def parts(self) -> tuple[Stretch, ...]:
        """The files beside the application."""
        return tuple(Stretch.of(address, data) for address, data in self.firmware.parts)

    @cached_property
    def blank(self) -> tuple[tuple[int, int], ...]:
        """(address, size) of what a unit that never ran has erased."""
        rows = self.firmware.golden.partitions
        return tuple((row.address, row.size) for row in rows if row.is_nvs or row.is_choice)


class Thrifty:
    """A device's flash, with as few bytes over the wire as an honest answer needs.

    Erased sectors, and the product's own files, are known once the chip's MD5 says that they stand
    there; one question costs less than most answers. Everything else is read. For readers that look
    before or after a write, never across one.
    """

    def __init__(
        self,
        device: Device,
        known: Sequence[Stretch] = (),
        blank: Sequence[tuple[int, int]] = (),
    ) -> None:
        """``blank``: (address, size) of whole sectors that are asked about together."""
        self._device = device
        self._known = known
        self._blank = blank
        self._seen: dict[tuple[int, int], bool] = {}

    def read(self, address: int, size: int) -> bytes:
        """As a ``verify.Reader``."""
        for known in self._known:
            if known.holds(address, size) and self.stands(known):
                return known.data[address - known.address :][:size]
        first = address - address % SECTOR
        last = -(-(address + size) // SECTOR) * SECTOR
        if all(self._is_erased(at) for at in range(first, last, SECTOR)):
            return b"\xff" * size
        return self._device.read(address, size)

    def stands(self, known: Stretch) -> bool:
        """Whether it is there, by the chip's word; asked once."""
        return self._is(known.address, len(known.data), known.md5)

    def _is_erased(self, sector: int) -> bool:
        """Whether the sector is, by itself or with all that is usually erased with it."""
        for address, size in self._blank:
            inside = address <= sector and sector + SECTOR <= address + size
            if inside and self._is(address, size, _erased(size)):
                return True
        return self._is(sector, SECTOR, _erased(SECTOR))

    def _is(self, address: int, size: int, md5: str) -> bool:
        key = (address, size)
        if key not in self._seen:
            self._seen[key] = self._device.md5(address, size).lower() == md5
        return self._seen[key]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=16)
def _erased(size: int) -> str:
    """MD5 of so much erased flash."""
    return _md5(b"\xff" * size)


def before_write(product: Product, device: Device) -> Thrifty:
    """The unit's flash as it came; for `inject` its application is held to be the golden one."""
    injecting = product.profile.spec.device.mode == "inject"
    known = (*product.parts, *(product.golden if injecting else ()))
    return Thrifty(device, known, product.blank)


def inspect(product: Product, flash: Thrifty, identity: Identity) -> Findings:
    """Every place the firmware looks for a token, or will look after this cycle's write."""
    table = None
    if product.profile.spec.device.mode == "flash" and product.where.partition_table is not None:
        table = product.firmware.planned(product.where.partition_table, _TABLE_SIZE)
    return verify.inspect(
        flash.read, product.where, flash_size=identity.flash_size, planned_table=table
    )


def stale_configuration(
    product: Product, findings: Findings, own: AuthToken | None, unit: Unit
) -> tuple[tuple[int, int], ...]:
    """(address, size) to erase so that the new token counts; empty where nothing is in its way.

    A saved configuration with the unit's own token is not stale: it came from there. One with a
    token of another living unit, or of the pool, is never erased: whose unit is this?
    Raises ``UnitError("verify.stale_nvs")`` where the profile says `refuse`.
    """
    foreign = [
        place
        for place in findings.places
        if place.kind is not PlaceKind.REGION
        and place.state in {PlaceState.TOKEN, PlaceState.TORN}
        and (place.auth is None or place.auth != own)
    ]
    if not findings.stale or not foreign:
        return ()
    if product.profile.spec.inspect.stale_nvs == "refuse":
        raise UnitError("verify.stale_nvs", unit=str(unit), place=foreign[0].name)
    if any(
        place.auth
        and product.ledger.look_up(place.auth)
        and not is_former(product.ledger, place.auth, unit)
        for place in foreign
    ):
        return ()
    return verify.stale_nvs(findings)


def prove_golden(product: Product, flash: Thrifty) -> None:
    """`inject`: the chip's own MD5 says that the golden image stands around the region.

    Raises ``UnitError("verify.not_golden")`` with the first stretch that differs.
    """
    for span in product.golden:
        if not flash.stands(span):
            raise UnitError("verify.not_golden", address=f"{span.address:#x}", size=len(span.data))


def kept(product: Product, device: Device, state: str, going_on: Next) -> dict[str, bytes]:
    """What the unit keeps in the stores that a region shares with others, by region name.

    Only what is to be written has to be known. A store that cannot be read any more, in a unit that
    was being written, counts as erased: its cycle left it half written. Raises ``UnitError`` where
    the profile refuses what the unit keeps, before anything is reserved.
    """
    stores = product.firmware.stores
    erased = {place.name: b"\xff" * place.size for place in stores}
    if not stores or going_on is not Next.WRITE:
        return erased
    found = {place.name: device.read(place.address, place.size) for place in stores}
    try:
        patch(product, AuthToken("A" * 32), product.firmware.sample_fields, found)
    except UnitError as error:
        if state == "writing" and error.code == "image.nvs_unreadable":
            return erased
        raise
    return found


def patch(
    product: Product, auth: AuthToken, fields: Mapping[str, str | Secret], kept: Mapping[str, bytes]
) -> Patched:
    """The unit's image and what stands beside it.

    Raises the codes of ``image``: as ``UnitError`` where this unit's own store is in the way, as
    ``StationError`` where the token's field values are (another unit would get no better ones).
    """
    try:
        return product.firmware.golden.patch(auth, fields, existing=kept)
    except UsageError as error:
        kind = UnitError if error.code in _OF_THE_UNIT else StationError
        raise kind(error.code, **error.params) from error


_OF_THE_UNIT = {
    "image.nvs_full", "image.nvs_occupied", "image.nvs_unread", "image.nvs_unreadable",
}  # fmt: skip
"""What a store that this unit has kept is to blame for."""


def read_back(
    product: Product, device: Device, identity: Identity, expected: Mapping[int, bytes]
) -> AuthToken:
    """The token that this unit's firmware will use, from the unit's own bytes.

    Changed sectors come whole over the wire, and must be ``expected``; the rest of the application
    counts by the chip's own MD5. Raises ``UnitError``: ``verify.md5_mismatch``,
    ``verify.sector_differs``, ``verify.no_token``, ``verify.places_disagree``,
    ``verify.boots_elsewhere``, ``verify.region_differs``, ``verify.seal_broken``.
    """
    files, unit = product.firmware, str(identity.unit)
    wire = _Sectors(device, files.changed, Thrifty(device, product.parts, product.blank))
    for address, data in expected.items():
        if wire(address, SECTOR) != data:
            raise UnitError("verify.sector_differs", unit=unit, address=f"{address:#x}")
    reader = verify.ComposedReader(
        wire,
        [verify.prove(device.md5, s.address, s.data, digest=s.md5) for s in product.golden],
        changed=[(address, SECTOR) for address in files.changed],
    )
    findings = verify.inspect(reader, product.where, flash_size=identity.flash_size)
    if len(verify.distinct(findings)) > 1:
        raise UnitError("verify.places_disagree", unit=unit, places=verify.disagreement(findings))
    if findings.effective is None:
        raise UnitError("verify.no_token", unit=unit)
    if findings.boots_at != files.app_address:
        raise UnitError("verify.boots_elsewhere", unit=unit, place=findings.boots or "nothing")
    region = verify.decode_region(_region_bytes(product, reader), product.where.region.form)
    if region.auth != findings.effective:
        raise UnitError("verify.region_differs", unit=unit, why=region.why or "another token")
    seal = verify.check_seal(reader, files.app_address, product.where, end=identity.flash_size)
    if not seal.ok:
        raise UnitError("verify.seal_broken", unit=unit, why=seal.why)
    wrong = _strays(product, reader)
    if wrong:
        raise UnitError("verify.seal_broken", unit=unit, why=wrong[0])
    return findings.effective


def _strays(product: Product, reader: verify.Reader) -> tuple[str, ...]:
    """What in the application does not follow from the golden image; told for one region in it."""
    files = product.firmware
    if product.where.hint is None or len(files.golden.regions) != 1:
        return ()
    changed = [(address, SECTOR) for address in files.changed]
    return verify.against_golden(reader, files.application, product.where, changed=changed)


def _region_bytes(product: Product, reader: verify.Reader) -> bytes:
    """All of the region that carries the token, and nothing else."""
    files = product.firmware
    if files.token_region is not None:
        return reader(files.address + files.token_region.offset, files.token_region.size)
    assert files.token_place is not None  # noqa: S101  # `where` refused what has neither
    return reader(files.token_place.address, files.token_place.size)


class _Sectors:
    """The device's reads, with the changed sectors read whole, once, over the wire."""

    def __init__(self, device: Device, addresses: tuple[int, ...], rest: Thrifty) -> None:
        self._rest = rest
        self._sectors = {address: device.read(address, SECTOR) for address in addresses}

    def __call__(self, address: int, size: int) -> bytes:
        """As a ``verify.Reader``."""
        parts, at, end = [], address, address + size
        while at < end:
            sector = at - at % SECTOR
            stop = min(end, sector + SECTOR)
            if sector in self._sectors:
                parts.append(self._sectors[sector][at - sector : stop - sector])
            else:
                while stop < end and stop not in self._sectors:
                    stop = min(end, stop + SECTOR)
                parts.append(self._rest.read(at, stop - at))
            at = stop
        return b"".join(parts)
