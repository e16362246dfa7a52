"""What a profile says about the golden image and the regions in it.

``[firmware]`` names the files, ``[[regions]]`` the places that take values.
"""

import re
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from eol_inject.specs import Spec


def _plain_names(template: str) -> str:
    """Only ``{name}``: a format or a conversion would be dropped without a word."""
    for _, name, form, conversion in Formatter().parse(template):
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(f"'{{{name}}}' is no name; {{{{ is a brace")
        if form or conversion:
            raise ValueError(f"{{{name}}} takes no format and no conversion")
    return template


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
Template = Annotated[str, AfterValidator(_plain_names)]
"""Text with names in braces: ``{auth}``, or a field of ``[fields]``."""


class PartSpec(Spec):
    """One more file that `flash` mode writes as it is: bootloader, partition table, file system."""

    file: Path = Field(description="Path, relative to the profile")
    address: int = Field(ge=0, description="Flash address, a multiple of 4096")


class FirmwareSpec(Spec):
    """The golden image: one common application for every unit, never modified on disk."""

    file: Path = Field(description="The application image, path relative to the profile")
    address: int | None = Field(
        None,
        ge=0,
        description="Flash address the application is written to; Intel HEX says its own",
    )
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Refuse any other file")
    type: str | None = Field(None, description="blnkinf's fw-type this product's firmware must say")
    version: str | None = Field(None, description="blnkinf's mcu version the firmware must say")
    parts: tuple[PartSpec, ...] = Field((), description="Written before the application")

    @property
    def flash_address(self) -> int:
        """``address`` of a product that esptool writes: such a profile is refused without it."""
        assert self.address is not None  # noqa: S101  # see above
        return self.address


class BlnkoptSpec(Spec):
    """Blynk's classic region: tag ``blnkopt`` and NUL-separated keys inside the application.

    ``values`` are written in this order; ``{auth}`` stands for the AuthToken, ``{name}`` for a
    field of ``[fields]``. Exactly one value is ``{auth}``, under the key ``auth``; ``ssid`` must be
    there too, or the firmware does not count as provisioned.
    """

    kind: Literal["blnkopt"]
    name: str = Field("blnkopt", description="Name of the region in reports")
    values: dict[str, Template] = Field(
        default={"ssid": "", "auth": "{auth}", "host": "blynk.cloud", "port": "443"},
        description="Key to value, in the order written",
    )

    @field_validator("values")
    @classmethod
    def _provisions(cls, values: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(values) - {"ssid", "pass", "auth", "host", "port"})
        if unknown:
            raise ValueError(f"the firmware reads ssid, pass, auth, host, port; not {unknown[0]}")
        if values.get("auth") != "{auth}":
            raise ValueError('auth = "{auth}" is missing: the region would carry no token')
        if "ssid" not in values:
            raise ValueError('ssid is missing (it may be ""): without it the firmware ignores auth')
        return values


class PlaceholderSpec(Spec):
    """A marked run of bytes in the firmware, found by its own text and replaced at its length."""

    kind: Literal["placeholder"]
    name: str = Field("placeholder", description="Name of the region in reports")
    text: str | None = Field(None, min_length=4, description="The run itself, all of it")
    pattern: str | None = Field(None, description="Or a regular expression for all of it")
    fill: Literal["nul", "space"] = Field("nul", description="What follows a shorter value")
    value: Template = Field("{auth}", description="What is written")

    @model_validator(mode="after")
    def _one_mark(self) -> Self:
        if (self.text is None) == (self.pattern is None):
            raise ValueError("give either text or pattern: what marks the run")
        return self

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                found = re.compile(pattern.encode())
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
            if found.match(b""):
                raise ValueError("it matches nothing at all, which is everywhere")
        return pattern

    @property
    def values(self) -> dict[str, str]:
        """Templates by name, as every region has them."""
        return {"value": self.value}


NumberType = Literal["u8", "u16", "u32"]


class LayoutField(Spec):
    """One field of a record or an EEPROM area; they follow each other without gaps."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$", description="Name in reports")
    type: NumberType | Literal["text", "bytes"] = Field(
        description="A number, a NUL-padded text, or bytes given in hex"
    )
    size: int | None = Field(None, gt=0, le=65536, description="Bytes of a text or of bytes")
    value: Template = Field(
        "",
        description="Template; in a record also {length} (bytes behind it, CRC not counted) and "
        "{crc32} (zlib's, of everything before it; last field)",
    )

    @model_validator(mode="after")
    def _has_a_size(self) -> Self:
        if (self.size is None) != (self.type in NUMBER_SIZES):
            raise ValueError("size belongs to text and bytes, and only to them")
        if self.value == "{crc32}" and self.type != "u32":
            raise ValueError("{crc32} is a u32")
        if self.value == "{length}" and self.type not in NUMBER_SIZES:
            raise ValueError("{length} is a number")
        return self

    terminated: bool = Field(True, description="A text leaves room for its NUL")

    @property
    def width(self) -> int:
        """Bytes it takes."""
        return self.size if self.size is not None else NUMBER_SIZES[self.type]


NUMBER_SIZES: dict[str, int] = {"u8": 1, "u16": 2, "u32": 4}
COMPUTED = ("{length}", "{crc32}")
"""What a record's own encoder fills in."""


class _Layout(Spec):
    """Fields in a row."""

    byte_order: Literal["little", "big"] = "little"
    layout: tuple[LayoutField, ...] = Field(min_length=1, description="The fields, in order")

    @model_validator(mode="after")
    def _names_differ_and_crc_is_last(self) -> Self:
        names = [field.name for field in self.layout]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"the field '{twice[0]}' is there twice")
        for field in self.layout[:-1]:
            if field.value == "{crc32}":
                raise ValueError("{crc32} has to be the last field")
        return self

    @property
    def values(self) -> dict[str, str]:
        """Templates by field name; what the encoder computes itself is left out."""
        return {field.name: field.value for field in self.layout if field.value not in COMPUTED}

    @property
    def width(self) -> int:
        """Bytes of all fields."""
        return sum(field.width for field in self.layout)


class _OwnPlace(Spec):
    """A place in flash that is the region's alone: an address, or a partition by its label."""

    address: int | None = Field(None, ge=0, description="Flash address, a multiple of 4096")
    partition: str | None = Field(None, description="Or the label of a partition")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.address is None) == (self.partition is None):
            raise ValueError("give either address or partition")
        if self.address is not None and self.address % 4096:
            raise ValueError("address must be a multiple of 4096, the flash's sector")
        return self


class RecordSpec(_OwnPlace, _Layout):
    """A record of the product's own making in flash of its own; the sector's rest is FF."""

    kind: Literal["record"]
    name: str = Field("record", description="Name of the region in reports")


class EepromSpec(_Layout):
    """An area of a microcontroller's EEPROM, handed to the programmer as Intel HEX."""

    kind: Literal["eeprom"]
    name: str = Field("eeprom", description="Name of the region in reports")
    offset: int = Field(0, ge=0, lt=65536, description="Where in the EEPROM it begins")


class NvsEntry(Spec):
    """One entry of ESP-IDF's key-value store."""

    key: str = Field(pattern=r"^[!-~]{1,15}$", description="At most 15 characters")
    type: Literal["u8", "u16", "u32", "string", "blob"] = "string"
    value: Template = Field(description="Template; a blob in hex")


class NvsSpec(_OwnPlace):
    """An NVS partition. With a preset the keys are Blynk's own, and ``values`` fills them."""

    kind: Literal["nvs"]
    name: str = Field("nvs", description="Name of the region in reports")
    size: int | None = Field(None, ge=0x3000, description="With address: bytes of the partition")
    namespace: str = Field("blynk", pattern=r"^[!-~]{1,15}$")
    preset: Literal["edgent", "classic-edgent"] | None = Field(
        None, description="edgent: strings auth and host; classic-edgent: the 212-byte config blob"
    )
    values: dict[str, Template] = Field(default_factory=dict, description="A preset's values")
    entries: tuple[NvsEntry, ...] = Field((), description="Without a preset: the entries")
    existing: Literal["refuse", "keep"] = Field(
        "refuse", description="Other entries that the unit's NVS already holds"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, table: Any) -> Any:
        """A preset's defaults, under what the profile says itself."""
        if isinstance(table, dict) and table.get("preset") in PRESETS:
            return {**table, "values": {**PRESETS[table["preset"]], **table.get("values", {})}}
        return table

    @model_validator(mode="after")
    def _says_what_to_write(self) -> Self:
        if (self.preset is None) == (not self.entries):
            raise ValueError("give either preset or entries")
        if self.preset is not None:
            unknown = sorted(set(self.values) - set(PRESETS[self.preset]))
            if unknown:
                raise ValueError(f"the preset has no '{unknown[0]}'")
        elif self.values:
            raise ValueError("values belong to a preset; an entry has its own value")
        if (self.address is None) != (self.size is None):
            raise ValueError("size belongs to address: a partition has its own")
        if self.size is not None and self.size % 4096:
            raise ValueError("size must be a multiple of 4096")
        return self

    @property
    def templates(self) -> dict[str, str]:
        """Templates by key."""
        return self.values or {entry.key: entry.value for entry in self.entries}


PRESETS: dict[str, dict[str, str]] = {
    "edgent": {"auth": "{auth}", "host": "blynk.cloud"},
    "classic-edgent": {
        "version": "",
        "ssid": "",
        "pass": "",
        "auth": "{auth}",
        "host": "blynk.cloud",
        "port": "443",
    },
}
"""Keys and defaults of Blynk's own configurations (blynk-library, Edgent-Arduino)."""

AnyRegionSpec = Annotated[
    BlnkoptSpec | PlaceholderSpec | RecordSpec | NvsSpec | EepromSpec, Field(discriminator="kind")
]
"""Every kind of region a profile may name."""


def templates(region: AnyRegionSpec) -> dict[str, str]:
    """Every value template of ``region``, by key or field name."""
    return region.templates if isinstance(region, NvsSpec) else region.values


def carries_auth(region: AnyRegionSpec) -> bool:
    """Whether the AuthToken goes into ``region``."""
    return any("{auth}" in template for template in templates(region).values())
