"""A product as data: one TOML file, composed of each stage's own spec.

A profile is looked up by name in the shipped folder ``profiles/``, or by path. Its SHA-256 goes
into every attempt's record, and one run works with one frozen reading of it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal, Self, assert_never

from pydantic import Field, model_validator

from eol_inject import chips, resources, specs
from eol_inject.device.programmer.spec import ProgrammerSpec
from eol_inject.device.spec import BootSpec, ConsoleSpec, DeviceSpec, PresenceSpec
from eol_inject.errors import UsageError
from eol_inject.image.spec import (
    AnyRegionSpec,
    BlnkoptSpec,
    EepromSpec,
    FirmwareSpec,
    NvsSpec,
    PlaceholderSpec,
    RecordSpec,
    carries_auth,
    templates,
)
from eol_inject.label.spec import LabelSpec
from eol_inject.ledger.spec import LimitsSpec, ProductSpec
from eol_inject.tokens.spec import FieldSpec
from eol_inject.verify.spec import (
    Blnkopt,
    InMemory,
    InspectSpec,
    Layout,
    LayoutField,
    NvsEntries,
    NvsEntry,
    Placeholder,
    RegionAt,
    RegionForm,
    Where,
)

PARTITION_TABLE = 0x8000
"""ESP-IDF's default; the same on every chip that has one."""


class ProfileSpec(specs.Spec):
    """One file of ``profiles/``."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of this file's form")
    description: str = Field("", description="One line about the product, shown by `profile list`")
    product: ProductSpec
    device: DeviceSpec
    firmware: FirmwareSpec | None = None
    regions: tuple[AnyRegionSpec, ...] = Field((), description="The places that take values")
    console: ConsoleSpec | None = None
    programmer: ProgrammerSpec | None = None
    inspect: InspectSpec = InspectSpec()
    fields: dict[str, FieldSpec] = Field(
        default_factory=dict, description="Metadata of a token, by field name"
    )
    label: LabelSpec | None = None
    boot: BootSpec | None = None
    presence: PresenceSpec = PresenceSpec()
    limits: LimitsSpec = LimitsSpec()

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        by_console = self.device.mode == "console"
        if by_console != (self.console is not None):
            raise ValueError("[console] and mode = 'console' belong together")
        if by_console and (self.firmware is not None or self.regions):
            raise ValueError("a console product has no [firmware] and no [[regions]]")
        if by_console and self.programmer is not None:
            raise ValueError("a token goes in by [console] or by [programmer], not by both")
        if not by_console and self.firmware is None:
            raise ValueError("[firmware] is missing")
        if (self.programmer is None) != bool(self.device.chip):
            raise ValueError(
                "[device] chip is missing"
                if self.programmer is None
                else "[programmer] names the chip, as the programmer calls it; [device] does not"
            )
        if self.console is not None:
            for ask in (*self.console.erase, *self.console.inject):
                for name in field_names(ask.send):
                    if name != "auth" and name not in self.fields:
                        raise ValueError(
                            f"the console line '{ask.name}' uses {{{name}}}, which [fields] does "
                            "not have"
                        )
        return self

    @model_validator(mode="after")
    def _firmware_has_its_place(self) -> Self:
        if self.firmware is None:
            return self
        address = self.firmware.address
        if self.programmer is not None:
            if self.firmware.parts:
                raise ValueError(
                    "[[firmware.parts]] are for esptool; a programmer writes one image"
                )
            return self
        if address is None:
            raise ValueError("[firmware] address is missing")
        if address % 4096:
            raise ValueError("[firmware] address must be a multiple of 4096, the flash's sector")
        return self

    @model_validator(mode="after")
    def _programmer_can_prove(self) -> Self:
        programmer = self.programmer
        if programmer is None:
            return self
        for region in self.regions:
            if region.kind not in {"blnkopt", "placeholder", "eeprom"}:
                raise ValueError(
                    f"region '{region.name}' is of kind '{region.kind}': a programmer's units have "
                    "placeholder, blnkopt and eeprom"
                )
        if programmer.eeprom is None and any(isinstance(r, EepromSpec) for r in self.regions):
            raise ValueError(
                "a region of kind 'eeprom' needs [programmer.eeprom]: how it is reached"
            )
        if self.device.security != "refuse":
            raise ValueError(f"security = '{self.device.security}' is for chips that esptool knows")
        memories = [
            programmer.eeprom if isinstance(region, EepromSpec) else programmer.flash
            for region in self.regions
        ]
        if programmer.proof == "read_back" and any(m is None or m.read is None for m in memories):
            raise ValueError(
                "no command reads back what is written: give the memory a `read`, or say proof = "
                "'reply' and what the firmware says in [boot]"
            )
        if programmer.proof == "reply" and programmer.serial is not None:
            raise ValueError(
                "proof = 'reply' needs a chip that says who it is: with a scanned serial number "
                "nothing would tell one unit from another"
            )
        if programmer.proof == "reply" and self.boot is None:
            raise ValueError("proof = 'reply' needs [boot]: what the firmware says with its token")
        if programmer.simulated and self.boot is not None:
            raise ValueError("the units of a simulated programmer say nothing: leave [boot] out")
        if self.device.mode == "inject" and programmer.flash.gaps == "fill":
            raise ValueError("gaps = 'fill' writes the image whole, and mode = 'inject' does not")
        if self.device.mode == "inject" and programmer.flash.read is None:
            raise ValueError(
                "mode = 'inject' needs [programmer.flash] read: is the golden image there?"
            )
        return self

    @model_validator(mode="after")
    def _regions_fit_together(self) -> Self:
        if self.console is not None:
            return self
        if not self.regions:
            raise ValueError("[[regions]] is missing: where does the token go?")
        names = [region.name for region in self.regions]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two regions are called '{twice[0]}': give each a name of its own")
        carriers = [region.name for region in self.regions if carries_auth(region)]
        if len(carriers) != 1:
            raise ValueError(
                f"{len(carriers)} regions carry {{auth}}: exactly one has to "
                f"({', '.join(carriers) or 'none does'})"
            )
        in_it = [value for value in templates(self.carrier).values() if "{auth}" in value]
        if len(in_it) > 1:
            raise ValueError(f"region '{self.carrier.name}' has {{auth}} in {len(in_it)} values")
        for region in self.regions:
            for value in templates(region).values():
                for name in field_names(value):
                    if name != "auth" and name not in self.fields:
                        raise ValueError(
                            f"region '{region.name}' uses {{{name}}}, which [fields] does not have"
                        )
        return self

    @model_validator(mode="after")
    def _protections_leave_a_proof(self) -> Self:
        choice = self.device.security
        inside = [r.name for r in self.regions if r.kind in {"blnkopt", "placeholder"}]
        if choice != "refuse" and self.device.chip == "esp8266":
            raise ValueError(f"security = '{choice}': the ESP8266 has no protections")
        if choice == "allow_secure_boot" and (self.device.mode != "inject" or inside):
            raise ValueError(
                "security = 'allow_secure_boot' needs mode = 'inject' and regions in flash of "
                "their own: the signed firmware is there already, and stays as it is"
            )
        if choice == "allow_secure_boot" and self.inspect.stale_nvs == "erase":
            raise ValueError(
                "security = 'allow_secure_boot' needs [inspect] stale_nvs = 'refuse': esptool "
                "erases nothing on such a chip unless it is forced"
            )
        if choice == "encrypted" and self.boot is None:
            raise ValueError(
                "security = 'encrypted' needs [boot]: encrypted flash cannot be read back, so the "
                "firmware's own start is the proof"
            )
        if choice == "encrypted" and (
            self.device.mode != "flash" or len(inside) != len(self.regions)
        ):
            raise ValueError(
                "security = 'encrypted' needs mode = 'flash' and regions inside the application: "
                "nothing else is proved by its start"
            )
        return self

    @property
    def carrier(self) -> AnyRegionSpec:
        """The region that carries the AuthToken."""
        return next(region for region in self.regions if carries_auth(region))


def field_names(text: str) -> list[str]:
    """The names in braces of a value; ``{{`` is a brace. Raises ValueError on a lone brace."""
    return [name for _, name, _, _ in Formatter().parse(text) if name is not None]


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as one run reads it."""

    name: str
    path: Path
    sha256: str
    spec: ProfileSpec

    @property
    def chip(self) -> chips.Chip:
        """The chip's row, of a product that esptool knows."""
        return chips.CHIPS[self.spec.device.chip]

    @property
    def chip_name(self) -> str:
        """The chip as whoever writes it calls it."""
        return self.spec.programmer.chip if self.spec.programmer else self.spec.device.chip

    @property
    def firmware(self) -> FirmwareSpec:
        """What is flashed. Raises ``UsageError("profile.no_firmware")`` for a console product."""
        if self.spec.firmware is None:
            raise UsageError("profile.no_firmware", profile=self.name)
        return self.spec.firmware

    @property
    def firmware_file(self) -> Path:
        """The golden image's path."""
        return (self.path.parent / self.firmware.file).resolve()

    @property
    def part_files(self) -> tuple[tuple[int, Path], ...]:
        """Flash address and path of every further file that ``flash`` mode writes."""
        return tuple(
            (part.address, (self.path.parent / part.file).resolve()) for part in self.firmware.parts
        )

    def template(self, name: str) -> str:
        """A label template as the profile names it: a shipped one, or a file beside the profile."""
        return str((self.path.parent / name).resolve()) if name.endswith(".toml") else name

    @property
    def public_fields(self) -> tuple[str, ...]:
        """The names a label may use."""
        return tuple(name for name, field in self.spec.fields.items() if not field.secret)

    def where(
        self, *, app_address: int, token: RegionAt, hint: int | None, size: int | None
    ) -> Where:
        """Where verify's readers look; the numbers come from the golden image."""
        return Where(
            family=self.chip.family,
            app_address=app_address,
            partition_table=PARTITION_TABLE if self.chip.family == "esp32" else None,
            region_kind="blnkopt",
            hint=hint,
            size=size,
            image_chip_id=self.chip.image_chip_id,
            token=token,
        )

    def in_memory(
        self, *, eeprom: bool, address: int, size: int, before: bytes, behind: bytes
    ) -> InMemory:
        """Where verify's readers look in what a programmer reads; the numbers come from the golden
        image."""
        memory: Literal["flash", "eeprom"] = "eeprom" if eeprom else "flash"
        return InMemory(memory, address, size, form_of(self.spec.carrier), before, behind)

    def warnings(self) -> tuple[str, ...]:
        """What is allowed but should be known, one sentence each."""
        inside = [r.name for r in self.spec.regions if r.kind in {"blnkopt", "placeholder"}]
        return (
            *(
                f"Region '{name}' lies inside the application: re-flashing the firmware in "
                "service, or an over-the-air update, wipes it."
                for name in inside
            ),
            *(_console_warnings(self.spec.console) if self.spec.console else ()),
        )


def _console_warnings(console: ConsoleSpec) -> Iterator[str]:
    if console.cloud:
        yield (
            "The firmware keeps the token in RAM until the cloud has accepted it: each unit needs "
            "a network at the station that reaches the cloud, and keeps its name and password."
        )
    if console.blind:
        yield (
            "The firmware tells nobody which token it has: an erased unit, or a clone, is not "
            "noticed, and `eol-inject verify` cannot judge one."
        )


def form_of(spec: AnyRegionSpec) -> RegionForm:
    """What a region's table means to verify's readers."""
    match spec:
        case BlnkoptSpec():
            return Blnkopt()
        case PlaceholderSpec():
            return Placeholder(spec.value, spec.fill, spec.text, spec.pattern)
        case NvsSpec():
            return _entries_of(spec)
        case RecordSpec() | EepromSpec():
            fields = tuple(
                LayoutField(field.name, _FIELD_TYPES[field.type], field.width, field.value)
                for field in spec.layout
            )
            return Layout(fields, spec.byte_order)
        case _:
            assert_never(spec)


def _entries_of(spec: NvsSpec) -> NvsEntries:
    if spec.preset == "classic-edgent":
        return NvsEntries(spec.namespace, classic=True)
    if spec.preset == "edgent":
        strings = (NvsEntry(key, "string", value) for key, value in spec.values.items())
        return NvsEntries(spec.namespace, tuple(strings))
    entries = (NvsEntry(entry.key, _ENTRY_TYPES[entry.type], entry.value) for entry in spec.entries)
    return NvsEntries(spec.namespace, tuple(entries))


_FIELD_TYPES: Final[dict[str, Literal["number", "text", "bytes"]]] = {
    "u8": "number", "u16": "number", "u32": "number", "text": "text", "bytes": "bytes",
}  # fmt: skip
_ENTRY_TYPES: Final[dict[str, Literal["integer", "string", "blob"]]] = {
    "u8": "integer", "u16": "integer", "u32": "integer", "string": "string", "blob": "blob",
}  # fmt: skip


def shipped() -> tuple[str, ...]:
    """The names of the profiles that come with this installation."""
    return tuple(sorted(path.stem for path in resources.folder("profiles").glob("*.toml")))


def load(name_or_path: str) -> Profile:
    """Read one profile: a shipped name, or the path of a TOML file.

    Raises ``UsageError``: ``profile.not_found``, ``profile.unreadable``, ``profile.not_toml``,
    ``profile.unknown_key``, ``profile.invalid``, ``profile.not_text``.
    """
    path = Path(name_or_path)
    try:
        path.stem.encode()  # it goes into every record of its units
    except UnicodeEncodeError:
        raise UsageError("profile.not_text") from None
    if path.suffix != ".toml":
        path = resources.folder("profiles") / f"{name_or_path}.toml"
        if "/" in name_or_path or "\\" in name_or_path or not path.is_file():
            raise UsageError("profile.not_found", name=name_or_path, known=", ".join(shipped()))
    data, table = specs.read_toml(path, stage="profile")
    spec = specs.parse(ProfileSpec, table, stage="profile", source=str(path))
    return Profile(path.stem, path.resolve(), hashlib.sha256(data).hexdigest(), spec)


def json_schema() -> dict[str, Any]:
    """The form of a profile, for editors."""
    return ProfileSpec.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "eol_inject profile",
    }
