"""A product whose units are written by an external programmer: memories instead of flash sectors.

The golden image is Intel HEX, or plain bytes for one address. Its regions lie in the firmware, or
in the EEPROM; nothing seals it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eol_inject.errors import UsageError
from eol_inject.image.containers import plain
from eol_inject.image.containers.plain import PlainImage
from eol_inject.image.firmware import samples
from eol_inject.image.patching import Golden, Patched
from eol_inject.image.spec import AnyRegionSpec, EepromSpec, FirmwareSpec, carries_auth
from eol_inject.unit import AuthToken

Blocks = tuple[tuple[int, bytes], ...]
"""(address in its memory, bytes), in the order of addresses; may hold the token."""


@dataclass(frozen=True, slots=True)
class Area:
    """Where the region that carries the AuthToken is: addresses in its own memory."""

    eeprom: bool
    address: int
    size: int
    before: bytes = field(default=b"", repr=False)
    """The golden image's bytes beside it, by which the firmware is known."""
    behind: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Programmed:
    """A product's golden image, judged. Addresses as the programmer counts them."""

    golden: Golden = field(repr=False)
    sha256: str
    area: Area
    flash: Blocks = field(repr=False)
    """The golden image, piece by piece."""
    holes: tuple[tuple[int, int], ...]
    """(address, size) of the regions in it: what is not golden in a unit."""

    @property
    def extent(self) -> tuple[int, int]:
        """First address of the firmware, and the one behind it."""
        return self.flash[0][0], self.flash[-1][0] + len(self.flash[-1][1])

    def of_unit(self, patched: Patched) -> Blocks:
        """The unit's firmware."""
        image = self._image
        whole = plain.from_hex(patched.data) if plain.looks_like_hex(patched.data) else None
        data = whole.data if whole is not None else patched.data
        return tuple(
            (segment.load_address, data[segment.offset : segment.end]) for segment in image.segments
        )

    def pages(self, patched: Patched, page: int) -> Blocks:
        """Just the pages of the firmware that the regions are in, whole; gaps of it are erased."""
        touched = sorted(
            {
                at
                for address, size in self.holes
                for at in range(address - address % page, address + size, page)
            }
        )
        unit = self.of_unit(patched)
        return tuple((at, read_from(unit, at, page)) for at in touched)

    def eeprom_of(self, patched: Patched) -> Blocks:
        """What goes into the EEPROM; empty where no region is there."""
        if patched.eeprom is None:
            return ()
        image = plain.from_hex(patched.eeprom)
        return tuple((one.load_address, image.data[one.offset : one.end]) for one in image.segments)

    @property
    def _image(self) -> PlainImage:
        image = self.golden.image
        assert isinstance(image, PlainImage)  # noqa: S101  # `load` refused everything else
        return image


def read_from(blocks: Blocks, address: int, size: int) -> bytes:
    """``size`` bytes at ``address`` of a memory that holds ``blocks`` and is erased elsewhere."""
    found = bytearray(b"\xff" * size)
    for start, data in blocks:
        low, high = max(start, address), min(start + len(data), address + size)
        if low < high:
            found[low - address : high - address] = data[low - start : high - start]
    return bytes(found)


def load(
    spec: FirmwareSpec,
    regions: Sequence[AnyRegionSpec],
    *,
    file: Path,
    flash_size: int,
    eeprom_size: int,
) -> Programmed:
    """Read and judge a product's image.

    Raises ``UsageError``: ``image.unreadable``, ``image.wrong_file``, ``image.beyond_memory``,
    ``image.no_address`` (plain bytes without one), and what ``Golden`` raises.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError("image.unreadable", path=str(file), why=error.strerror) from error
    sha256 = hashlib.sha256(data).hexdigest()
    if spec.sha256 is not None and sha256 != spec.sha256:
        raise UsageError(
            "image.wrong_file", path=str(file), found=sha256[:12], wanted=spec.sha256[:12]
        )
    is_hex = plain.looks_like_hex(data)
    if not is_hex and spec.address is None:
        raise UsageError("image.no_address", path=str(file))
    golden = Golden(
        data,
        regions,
        expect_type=spec.type,
        expect_version=spec.version,
        raw_at=None if is_hex else spec.address,
    )
    image = golden.image
    assert isinstance(image, PlainImage)  # noqa: S101  # raw bytes or Intel HEX, by what was asked for
    flash = tuple((one.load_address, image.data[one.offset : one.end]) for one in image.segments)
    holes = tuple((_address(image, r.offset), r.size) for r in golden.regions)
    made = golden.patch(AuthToken("A" * 32), samples(regions))
    loaded = Programmed(golden, sha256, _area(golden, image, regions), flash, holes)
    _require_room("flash", flash, flash_size)
    _require_room("eeprom", loaded.eeprom_of(made), eeprom_size)
    return loaded


def _area(golden: Golden, image: PlainImage, regions: Sequence[AnyRegionSpec]) -> Area:
    carrier = next(region for region in regions if carries_auth(region))
    if isinstance(carrier, EepromSpec):
        return Area(True, carrier.offset, carrier.width)
    region = next(one for one in golden.regions if one.name == carrier.name)
    piece = next(one for one in image.segments if one.offset <= region.offset < one.end)
    end = region.offset + region.size
    return Area(
        False,
        _address(image, region.offset),
        region.size,
        before=image.data[max(piece.offset, region.offset - _AROUND) : region.offset],
        behind=image.data[end : min(piece.end, end + _AROUND)],
    )


_AROUND = 32


def _address(image: PlainImage, offset: int) -> int:
    piece = next(one for one in image.segments if one.offset <= offset < one.end)
    return piece.load_address + offset - piece.offset


def _require_room(memory: str, blocks: Blocks, size: int) -> None:
    for address, data in blocks:
        if address + len(data) > size:
            raise UsageError(
                "image.beyond_memory", memory=memory, end=f"{address + len(data):#x}", size=size
            )
