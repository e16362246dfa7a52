"""What a survey of a unit found: places, what the firmware would use, what is in the way."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from eol_inject.errors import UnitError
from eol_inject.unit import AuthToken
from eol_inject.verify.content import Content, PlaceState


class PlaceKind(StrEnum):
    """Which of the firmware's sources a place is."""

    REGION = "region"
    """The reserved region of one application."""
    CONFIG = "config"
    """Classic Edgent's saved configuration: it beats the region."""
    AUTH = "auth"
    """New Edgent's saved string."""


class TableState(StrEnum):
    """What the partition table's sector holds."""

    NONE = "none"
    """This chip has no table."""
    ERASED = "erased"
    GOOD = "good"
    CORRUPT = "corrupt"
    ENCRYPTED = "encrypted"


@dataclass(frozen=True, slots=True)
class Place:
    """One place where a token can be. ``why`` is a public phrase about its state, or empty."""

    name: str
    """As a person knows it: ``application ota_0``, ``nvs blynk/config``, ``eeprom``."""
    address: int
    state: PlaceState
    auth: AuthToken | None
    bootable: bool
    """Whether the bootloader, or the application, could come to look here."""
    kind: PlaceKind = PlaceKind.REGION
    used: bool = False
    """Whether the firmware that boots takes its token from here."""
    why: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        address: int,
        content: Content,
        bootable: bool,
        kind: PlaceKind = PlaceKind.REGION,
    ) -> Self:
        """A place that holds ``content``."""
        state, auth, why = content.state, content.auth, content.why
        return cls(name, address, state, auth, bootable, kind, why=why)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a unit holds. Nothing here was written; secrets are wrapped."""

    places: tuple[Place, ...]
    effective: AuthToken | None
    """The token that the firmware would really use, None where it would use none."""
    table: TableState
    boots: str = ""
    """Name of the place whose application starts, empty where none would."""
    boots_at: int | None = None
    """Flash address of that application: the one whose seal counts."""
    stale: tuple[tuple[int, int], ...] = ()
    """(address, size) of the flash that holds a saved configuration which beats the region."""
    lost: tuple[str, ...] = ()
    """What else stands there and would go with it: names of NVS namespaces."""
    notes: tuple[str, ...] = ()
    """Public phrases for a person: nothing that decides."""
    trouble: UnitError | None = None
    """Why the table cannot be read, with its own code (``verify.table_corrupt``)."""

    def without_saved(self) -> "Findings":
        """The same unit as it would be with its saved configuration erased."""
        places = tuple(p for p in self.places if p.kind is PlaceKind.REGION)
        started = next((p for p in places if p.name == self.boots), None)
        token = started is not None and started.state is PlaceState.TOKEN
        return replace(
            self,
            places=tuple(replace(p, used=token and p is started) for p in places),
            effective=started.auth if token and started else None,
            stale=(),
            lost=(),
        )


def stale_nvs(findings: Findings) -> tuple[tuple[int, int], ...]:
    """(address, size) of every stretch to erase so that the region is what counts.

    It is the whole NVS partition, all namespaces of it: entries cannot be taken out singly without
    rewriting a sector that holds other data, and a power cut in the middle would leave half of it.
    ``findings.lost`` names what goes with it; WiFi and PHY calibration come back by themselves. On
    ESP8266 it is the EEPROM sector. Empty where nothing saved beats the region. The caller asks
    the profile (``[inspect] stale_nvs``) first.
    """
    return findings.stale
