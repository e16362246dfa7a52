"""Everything a product's `flash` writes: the golden application with its region, and the parts.

Read once for a run. Which sectors a token changes, and what all others must be, is the same for
every unit, so it is known before the first one comes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from string import Formatter

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import identity
from eol_inject.image.containers.esp import EspImage
from eol_inject.image.patching import Golden, Patched
from eol_inject.image.plans import Plan, Span, spans
from eol_inject.image.regions import Place, Region
from eol_inject.image.spec import AnyRegionSpec, FirmwareSpec, carries_auth, templates
from eol_inject.unit import AuthToken

_SAMPLE = AuthToken("A" * 32)
"""Any token: which sectors change does not depend on it."""

_VALUE = "00"
"""Any field's value: it can be a text, a number, and bytes in hex."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """A product's files, judged. All addresses in flash bytes."""

    golden: Golden = field(repr=False)
    address: int
    carrier: str
    """Name of the region that carries the AuthToken."""
    sha256: str
    """Of the golden image's file."""
    name: str
    """Type and version as the image says them, for records."""
    parts: tuple[tuple[int, bytes], ...] = field(repr=False)
    changed: tuple[int, ...]
    """Flash address of every sector that some unit's values could change."""
    rest: tuple[Span, ...]
    """Every other byte of the application, with the MD5 it must have."""
    sample_fields: Mapping[str, str]
    """A made-up value for every field that a region uses: to try whether a unit can be patched."""

    @property
    def app_address(self) -> int:
        """Where the application itself begins; a merged image holds it further on."""
        return self.address + self.golden.image.start

    @property
    def token_region(self) -> Region | None:
        """The region that carries the AuthToken, where it is inside the application."""
        return next((r for r in self.golden.regions if r.name == self.carrier), None)

    @property
    def token_place(self) -> Place | None:
        """The flash that carries the AuthToken, where it is outside of it."""
        return next((p for p in self.golden.places if p.name == self.carrier), None)

    @property
    def is_hashed(self) -> bool:
        """Whether a boot loader checks the application by a SHA-256 of its own."""
        image = self.golden.image
        return isinstance(image, EspImage) and image.digest_at is not None

    @property
    def application(self) -> bytes:
        """The golden application's own bytes, from ``app_address`` on."""
        return self.golden.data[self.golden.image.start :]

    @property
    def stores(self) -> tuple[Place, ...]:
        """Places whose present content has to be read from the unit before it can be patched."""
        return tuple(place for place in self.golden.places if place.kind == "nvs")

    def golden_bytes(self, span: Span) -> bytes:
        """What the golden image holds in a span of ``rest``."""
        at = span.address - self.address
        return self.golden.data[at : at + span.size]

    def planned(self, address: int, size: int) -> bytes | None:
        """What `flash` will put at ``address``, for a reader that looks ahead; None where nothing.

        The region's bytes are the golden ones: it is for tables, not for tokens.
        """
        for start, data in (*self.parts, (self.address, self.golden.data)):
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        return None

    def groups(self, patched: Patched, *, whole: bool) -> tuple[tuple[tuple[int, bytes], ...], ...]:
        """What to write, in order: whole sectors, secret.

        ``whole`` is `flash`: parts, the unit's application, then what stands beside it. Otherwise
        only what the token changes. The groups stand apart, so that a file that does not compress
        slows nothing else.
        """
        if not whole:
            return (tuple(sorted(self._touched(patched).items())),)
        application = self._apart(_whole_sectors(patched.data))
        beside = tuple((block.address, block.data) for block in patched.blocks)
        return tuple(group for group in (self.parts, application, beside) if group)

    @property
    def common(self) -> frozenset[int]:
        """Addresses of the blocks in ``groups`` that are the same for every unit."""
        golden = (span.address for span in self.rest if span.size % SECTOR == 0)
        return frozenset((*golden, *(address for address, _ in self.parts)))

    def _apart(self, data: bytes) -> tuple[tuple[int, bytes], ...]:
        """The application, cut where the unit's own sectors begin and end."""
        end = self.address + len(data)
        edges = {self.address, end}
        for at in self.changed:
            edges |= {at, at + SECTOR}
        cuts = sorted(edge for edge in edges if self.address <= edge <= end)
        return tuple(
            (low, data[low - self.address : high - self.address]) for low, high in pairwise(cuts)
        )

    def expected(self, patched: Patched) -> dict[int, bytes]:
        """What each changed sector must hold, by flash address.

        Stores are left out: what else a unit keeps there is its own, and they are read as the
        firmware reads them.
        """
        stores = [range(store.address, store.address + store.size) for store in self.stores]
        return {
            address: data
            for address, data in self._touched(patched).items()
            if not any(address in store for store in stores)
        }

    def _touched(self, patched: Patched) -> dict[int, bytes]:
        """What goes into every sector of ``changed``: also where this unit's happens to be golden,
        since the flash may hold an earlier value there."""
        sectors = dict(self.golden.plan(patched, self.address).sectors)
        for address in self.changed:
            at = address - self.address
            sectors.setdefault(address, patched.data[at : at + SECTOR].ljust(SECTOR, b"\xff"))
        return sectors


def require_decrypted(files: Firmware) -> None:
    """For a product whose chips encrypt their flash: whoever reads what is written decrypts it, and
    the application has the hash that makes its start a proof.

    Raises ``UsageError``: ``image.no_hash``, ``image.read_as_plain``.
    """
    if not files.is_hashed:
        raise UsageError("image.no_hash")
    for address, data in files.parts:
        for row in files.golden.partitions:
            overlaps = address < row.address + row.size and row.address < address + len(data)
            if overlaps and not row.is_decrypted:
                raise UsageError(
                    "image.read_as_plain", address=f"{address:#x}", partition=row.label
                )


def doubts(files: Firmware, flash_size: int) -> Iterator[str]:
    """What is allowed but will hardly be meant: places that something else will write over, or
    that a flash of ``flash_size`` bytes does not have. One sentence each."""
    for place in files.golden.places:
        end = place.address + place.size
        for row in files.golden.partitions:
            inside = row.address < end and place.address < row.address + row.size
            if inside and (row.is_application or row.is_choice):
                yield (
                    f"Region '{place.name}' lies in the partition '{row.label}', {row.words}: the "
                    "firmware, or an over-the-air update, writes over it."
                )
    ends = {f"region '{place.name}'": place.address + place.size for place in files.golden.places}
    ends["the application"] = files.address + len(files.golden.data)
    for what, end in ends.items():
        if end > flash_size:
            yield f"{what.capitalize()} ends at {end:#x}, behind a flash of {flash_size:#x} bytes."


def load(
    spec: FirmwareSpec,
    regions: Sequence[AnyRegionSpec],
    *,
    application: Path,
    parts: Sequence[tuple[int, Path]],
    chip: str,
) -> Firmware:
    """Read and judge a product's files.

    Raises ``UsageError``: ``image.unreadable``, ``image.wrong_file`` (another SHA-256),
    ``image.parts_overlap``, and what ``Golden`` raises.
    """
    data = _read(application)
    sha256 = hashlib.sha256(data).hexdigest()
    if spec.sha256 is not None and sha256 != spec.sha256:
        raise UsageError(
            "image.wrong_file", path=str(application), found=sha256[:12], wanted=spec.sha256[:12]
        )
    read = tuple((address, _whole_sectors(_read(path))) for address, path in parts)
    golden = Golden(
        data,
        regions,
        chip=chip,
        expect_type=spec.type,
        expect_version=spec.version,
        parts=read,
    )
    start = spec.flash_address
    own = ((place.address, b"\xff" * place.size) for place in golden.places)
    beside = own if golden.image.start == 0 else ()
    _require_apart((*read, (start, _whole_sectors(data)), *beside))
    golden.require_slot(start)
    fields = samples(regions)
    changed = _reach(golden, golden.plan(_sample(golden, fields), start), start)
    end = start + len(golden.data)
    inside = tuple(at - start for at in changed if start <= at < end)
    says = identity.read(golden.image)
    return Firmware(
        golden=golden,
        address=start,
        carrier=next(region.name for region in regions if carries_auth(region)),
        sha256=sha256,
        name=" ".join(filter(None, (says.get("fw-type"), says.get("mcu")))),
        parts=read,
        changed=changed,
        rest=spans(golden.data, inside, start),
        sample_fields=fields,
    )


def samples(regions: Sequence[AnyRegionSpec]) -> dict[str, str]:
    """A value for every field that a region uses."""
    return {
        name: _VALUE
        for region in regions
        for value in templates(region).values()
        for _, name, _, _ in Formatter().parse(value)
        if name is not None
    }


def _sample(golden: Golden, fields: Mapping[str, str]) -> Patched:
    """Some unit's image: which sectors differ is the same for all."""
    return golden.patch(
        _SAMPLE,
        fields,
        existing={place.name: b"\xff" * place.size for place in golden.places},
    )


def _reach(golden: Golden, sample: Plan, address: int) -> tuple[int, ...]:
    """Every sector that a region or its seal lies in, whatever one sample happens to change."""
    image = golden.image
    extents = [(region.offset, region.offset + region.size) for region in golden.regions]
    if extents and isinstance(image, EspImage):
        extents.append((image.checksum_at, image.end))
    touched = {
        address + sector
        for start, end in extents
        for sector in range(start - start % SECTOR, end, SECTOR)
    }
    return tuple(sorted(touched | set(sample.addresses)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("image.unreadable", path=str(path), why=error.strerror) from error


def _whole_sectors(data: bytes) -> bytes:
    """Padded with FF, as an erase leaves it."""
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\xff")


def _require_apart(blocks: Sequence[tuple[int, bytes]]) -> None:
    for (low, data), (high, _) in pairwise(sorted(blocks)):
        if low + len(data) > high:
            raise UsageError("image.parts_overlap", first=f"{low:#x}", second=f"{high:#x}")
