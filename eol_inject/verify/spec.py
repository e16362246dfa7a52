"""Where the readers look, and what a profile wants done about what they find (``[inspect]``).

The readers share no code with ``image/``: ``profiles`` builds a ``Where`` for them from the same
tables of the profile.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from eol_inject.specs import Spec


class InspectSpec(Spec):
    """The ``[inspect]`` table."""

    stale_nvs: Literal["refuse", "erase"] = Field(
        "refuse",
        description="A valid Blynk configuration in NVS beats the region: stop, or erase that NVS "
        "partition, all of it (every namespace goes, WiFi settings and calibration too)",
    )


@dataclass(frozen=True, slots=True)
class Blnkopt:
    """Blynk's tagged keys and values inside the application."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A run of bytes inside the application; ``text`` or ``pattern`` is what a blank one holds."""

    value: str = "{auth}"
    """Template of what is written."""
    fill: Literal["nul", "space"] = "nul"
    text: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class LayoutField:
    """One field of a layout, ``size`` bytes; numbers are unsigned."""

    name: str
    type: Literal["number", "text", "bytes"]
    size: int
    value: str = ""
    """Template; ``{length}`` and ``{crc32}`` are computed from the record itself."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Fields in a row: a record in flash of its own, or an area of an EEPROM."""

    fields: tuple[LayoutField, ...]
    byte_order: Literal["little", "big"] = "little"


@dataclass(frozen=True, slots=True)
class NvsEntry:
    """One entry of an NVS namespace; a blob's value is written in hex."""

    key: str
    type: Literal["integer", "string", "blob"]
    value: str
    """Template."""


@dataclass(frozen=True, slots=True)
class NvsEntries:
    """Entries of one namespace; ``classic`` is classic Edgent's ``config`` struct instead."""

    namespace: str
    entries: tuple[NvsEntry, ...] = ()
    classic: bool = False


RegionForm = Blnkopt | Placeholder | Layout | NvsEntries
"""How a region's bytes are to be read."""


@dataclass(frozen=True, slots=True)
class RegionAt:
    """The region that carries the AuthToken: its form, and where it is.

    ``offset`` counts inside the application; ``address`` or ``partition`` (a label) is flash of
    its own. ``before`` and ``behind`` are the golden image's bytes around a placeholder, by which
    our firmware is known.
    """

    form: RegionForm
    offset: int | None = None
    address: int | None = None
    partition: str | None = None
    size: int | None = None
    before: bytes = b""
    behind: bytes = b""

    @property
    def inside(self) -> bool:
        """Whether it is in the application."""
        return isinstance(self.form, Blnkopt | Placeholder)

    @property
    def edgent(self) -> bool:
        """Whether it is Edgent's firmware that reads it, and so Edgent's saved configuration."""
        if isinstance(self.form, NvsEntries):
            return (self.form.namespace, self.partition) == ("blynk", "nvs")
        return isinstance(self.form, Blnkopt)


@dataclass(frozen=True, slots=True)
class InMemory:
    """The token's region in a memory that an external programmer reads: addresses in that memory.

    ``before`` and ``behind`` are the golden image's bytes around a region of the firmware.
    """

    memory: Literal["flash", "eeprom"]
    address: int
    size: int
    form: RegionForm
    before: bytes = b""
    behind: bytes = b""

    @property
    def span(self) -> tuple[int, int]:
        """Address and size of the region with the bytes around it."""
        start = self.address - len(self.before)
        return start, len(self.before) + self.size + len(self.behind)


@dataclass(frozen=True, slots=True)
class Where:
    """Where the token of a unit can be, all addresses in flash bytes.

    ``hint`` and ``size`` are the region's offset inside the application and its length, from the
    golden image; a unit with another firmware is searched segment by segment, and its region is
    read to its own end.
    """

    family: Literal["esp32", "esp8266"]
    app_address: int
    partition_table: int | None
    """0x8000 by default; None on ESP8266, which has none."""
    region_kind: Literal["blnkopt"]
    hint: int | None = None
    size: int | None = None
    image_chip_id: int | None = None
    """The chip id the image header must carry; None on ESP8266."""
    token: RegionAt | None = None
    """The token's region where it is not the ``blnkopt`` at ``hint``."""

    @property
    def region(self) -> RegionAt:
        """The token's region."""
        return self.token or RegionAt(Blnkopt(), offset=self.hint, size=self.size)
