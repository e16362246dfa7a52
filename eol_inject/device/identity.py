"""What the chip says about itself: who it is, how big its flash is, what protects it."""

from dataclasses import dataclass

from eol_inject.errors import UnitError
from eol_inject.unit import Unit


@dataclass(frozen=True, slots=True)
class Security:
    """Protections burned into the chip; each makes a plain write useless or fatal.

    ESP8266 has none. Sources: ESP-IDF "Flash Encryption", "Secure Boot V2"; esptool
    ``GET_SECURITY_INFO`` and the eFuse registers.
    """

    flash_encryption: bool = False
    secure_boot: bool = False
    secure_download: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is burned at all."""
        return self.flash_encryption or self.secure_boot or self.secure_download

    def refuse_if_secured(self) -> None:
        """Raise before anything is written; nothing is ever forced (line-failures 15).

        ``UnitError`` with ``device.secure_download``, ``device.flash_encrypted`` or
        ``device.secure_boot``.
        """
        if self.secure_download:
            raise UnitError("device.secure_download")
        if self.flash_encryption:
            raise UnitError("device.flash_encrypted")
        if self.secure_boot:
            raise UnitError("device.secure_boot")


@dataclass(frozen=True, slots=True)
class Identity:
    """One reading of a unit's identity."""

    unit: Unit
    chip: str
    """As esptool's ``--chip`` takes it."""
    revision: str
    """``v1.0``; empty where the chip does not tell (ESP8266)."""
    flash_size: int
    """Bytes; 0 where the chip's protections forbid asking."""
    security: Security
    baud: int
    """Baud rate that transfers have, after any stepping down."""
    notes: tuple[str, ...] = ()
    """Public phrases about what did not go as planned: a slower baud rate, the ROM loader."""
