"""Everything a product's `flash` writes: the golden application with its region, and the parts.

Read once for a run. Which sectors a token changes, and what all others must be, is the same for
every unit, so it is known before the first one comes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import identity
from eol_inject.image.patching import Golden
from eol_inject.image.plans import Span
from eol_inject.image.spec import FirmwareSpec, RegionSpec
from eol_inject.unit import AuthToken, Secret

_SAMPLE = AuthToken("A" * 32)
"""Any token: which sectors change does not depend on it."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """A product's files, judged. All addresses in flash bytes."""

    golden: Golden = field(repr=False)
    address: int
    sha256: str
    """Of the golden image's file."""
    name: str
    """Type and version as the image says them, for records."""
    parts: tuple[tuple[int, bytes], ...] = field(repr=False)
    changed: tuple[int, ...]
    """Flash address of every sector that a token changes."""
    rest: tuple[Span, ...]
    """Every other byte of the application, with the MD5 it must have."""

    @property
    def app_address(self) -> int:
        """Where the application itself begins; a merged image holds it further on."""
        return self.address + self.golden.image.start

    @property
    def hint(self) -> int:
        """The region's offset inside the application."""
        return self.golden.regions[0].offset - self.golden.image.start

    @property
    def size(self) -> int:
        """The region's length in bytes."""
        return self.golden.regions[0].size

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

    def groups(
        self, auth: AuthToken, fields: Mapping[str, str | Secret], *, whole: bool
    ) -> tuple[tuple[tuple[int, bytes], ...], ...]:
        """What to write, in order: whole sectors, secret.

        ``whole`` is `flash`: parts, then the unit's application. Otherwise only what the token
        changes. The parts stand apart, so that a file that does not compress slows nothing else.
        """
        patched = self.golden.patch(auth, fields)
        if not whole:
            return (self.golden.plan(patched, self.address).sectors,)
        application = ((self.address, _whole_sectors(patched.data)),)
        return (self.parts, application) if self.parts else (application,)


def load(
    spec: FirmwareSpec,
    regions: Sequence[RegionSpec],
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
    golden = Golden(data, regions, chip=chip, expect_type=spec.type, expect_version=spec.version)
    read = tuple((address, _whole_sectors(_read(path))) for address, path in parts)
    _require_apart((*read, (spec.address, _whole_sectors(data))))
    plan = golden.plan(golden.patch(_SAMPLE, _samples(regions)), spec.address)
    says = identity.read(golden.image)
    return Firmware(
        golden=golden,
        address=spec.address,
        sha256=sha256,
        name=" ".join(filter(None, (says.get("fw-type"), says.get("mcu")))),
        parts=read,
        changed=plan.addresses,
        rest=plan.rest,
    )


def _samples(regions: Sequence[RegionSpec]) -> dict[str, str]:
    """An empty value for every field that a region uses."""
    from string import Formatter

    return {
        name: ""
        for region in regions
        for value in region.values.values()
        for _, name, _, _ in Formatter().parse(value)
        if name is not None and name != "auth"
    }


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
