"""What a profile says about the golden image and the regions in it.

``[firmware]`` names the files, ``[[regions]]`` the places that take values.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from eol_inject.specs import Spec


class PartSpec(Spec):
    """One more file that `flash` mode writes as it is: bootloader, partition table, file system."""

    file: Path = Field(description="Path, relative to the profile")
    address: int = Field(ge=0, description="Flash address, a multiple of 4096")


class FirmwareSpec(Spec):
    """The golden image: one common application for every unit, never modified on disk."""

    file: Path = Field(description="The application image, path relative to the profile")
    address: int = Field(ge=0, description="Flash address the application is written to")
    sha256: str | None = Field(None, pattern=r"[0-9a-f]{64}", description="Refuse any other file")
    type: str | None = Field(None, description="blnkinf's fw-type this product's firmware must say")
    version: str | None = Field(None, description="blnkinf's mcu version the firmware must say")
    parts: tuple[PartSpec, ...] = Field((), description="Written before the application")

    @field_validator("address")
    @classmethod
    def _on_a_sector(cls, address: int) -> int:
        if address % 4096:
            raise ValueError("must be a multiple of 4096, the flash's sector")
        return address


class BlnkoptSpec(Spec):
    """Blynk's classic region: tag ``blnkopt`` and NUL-separated keys inside the application.

    ``values`` are written in this order; ``{auth}`` stands for the AuthToken, ``{name}`` for a
    field of ``[fields]``. Exactly one value is ``{auth}``, under the key ``auth``; ``ssid`` must be
    there too, or the firmware does not count as provisioned.
    """

    kind: Literal["blnkopt"]
    name: str = Field("blnkopt", description="Name of the region in reports")
    values: dict[str, str] = Field(
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


RegionSpec = BlnkoptSpec
"""A union discriminated by ``kind``, once there are more."""
