"""The station file: which slot is where, and what the station makes unless told otherwise."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from eol_inject import specs
from eol_inject.device.inventory import Where
from eol_inject.station.presence import Slot


class SlotSpec(specs.Spec):
    """One slot: a physical USB place, a bridge's serial number, or a port's URL."""

    name: str = Field(min_length=1, max_length=20, description="On labels and in records")
    location: str | None = Field(
        None, min_length=1, description="As `eol-inject ports` shows it, e.g. 1-4.2"
    )
    serial_number: str | None = Field(
        None, min_length=1, description="Of the bridge, where it has its own"
    )
    url: str | None = Field(
        None, min_length=1, description="Any port: /dev/ttyUSB0, COM7, socket://, sim://"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(one is not None for one in (self.location, self.serial_number, self.url)) != 1:
            raise ValueError("give one of location, serial_number and url")
        return self

    @property
    def slot(self) -> Slot:
        """As the runner knows it."""
        where = Where(self.location or "", self.serial_number or "", self.url or "")
        return Slot(self.name, where)


class StationSpec(specs.Spec):
    """One file for one computer on the line."""

    schema_version: Literal[1] = Field(alias="schema", description="Version of this file's form")
    profile: str | None = Field(None, description="Product profile: shipped name, or file")
    lot: str | None = None
    printer: str | None = Field(None, description="URL of the label printer")
    scanner: str | None = Field(None, description="URL of the scanner, or tty")
    slots: tuple[SlotSpec, ...] = Field(min_length=1, max_length=32)

    @model_validator(mode="after")
    def _slots_differ(self) -> Self:
        names = [one.name for one in self.slots]
        places = [one.location or one.serial_number or one.url for one in self.slots]
        for what, values in (("are called", names), ("are in one place,", places)):
            for value in values:
                if values.count(value) > 1:  # type: ignore[arg-type]  # a list of one kind each
                    raise ValueError(f"two slots {what} {value}")
        return self


def load(path: Path) -> StationSpec:
    """Read one station file.

    Raises ``UsageError``: ``station.unreadable``, ``not_toml``, ``unknown_key``, ``invalid``.
    """
    _, table = specs.read_toml(path, stage="station")
    spec = specs.parse(StationSpec, table, stage="station", source=str(path))
    if spec.profile is not None and spec.profile.endswith(".toml"):
        return spec.model_copy(update={"profile": str((path.parent / spec.profile).resolve())})
    return spec
