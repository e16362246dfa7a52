"""What the chip says about itself: who it is, how big its flash is, what protects it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from eol_inject.device.masking import mask
from eol_inject.errors import UnitError
from eol_inject.unit import AuthToken, Unit, grouped, long_number

IDENTITIES: Final = frozenset({"mac", "serial", "uid"})
"""Facts of a device that name the unit."""

IsToken = Callable[[AuthToken], bool]
"""Whether the ledger knows it as a token, whoever has it."""

_TOKEN: Final = 32
"""Characters of an AuthToken (Blynk, "Static tokens")."""

SecurityChoice = Literal["refuse", "allow_secure_boot", "encrypted"]
"""What a profile may say about a chip's protections."""


@dataclass(frozen=True, slots=True)
class Security:
    """Protections burned into the chip; each makes a plain write useless or fatal.

    ESP8266 has none. Sources: ESP-IDF "Flash Encryption", "Secure Boot V2"; esptool
    ``GET_SECURITY_INFO`` and the eFuse registers.
    """

    flash_encryption: bool = False
    secure_boot: bool = False
    secure_download: bool = False
    encryption_locked: bool = False
    """With flash encryption: the chip encrypts nothing for its loader any more (ESP-IDF "Release
    Mode")."""

    @property
    def any(self) -> bool:
        """Whether anything is burned at all."""
        return self.flash_encryption or self.secure_boot or self.secure_download

    def admits(self, choice: SecurityChoice) -> bool:
        """Whether the unit may be worked on."""
        return self._refusal(choice) is None

    def refuse_if_secured(self, choice: SecurityChoice = "refuse") -> None:
        """Raise before anything is written; nothing is ever forced (line-failures 15).

        ``UnitError`` with ``device.secure_download``, ``device.flash_encrypted``,
        ``device.secure_boot``, ``device.not_encrypted`` or ``device.encryption_locked``.
        """
        refusal = self._refusal(choice)
        if refusal is not None:
            raise refusal

    def _refusal(self, choice: SecurityChoice) -> UnitError | None:
        """The protection that would do the most harm is named first."""
        if self.secure_download:
            return UnitError("device.secure_download")
        if self.flash_encryption and choice != "encrypted":
            return UnitError("device.flash_encrypted")
        if self.secure_boot and choice != "allow_secure_boot":
            return UnitError("device.secure_boot")
        if choice == "encrypted" and not self.flash_encryption:
            return UnitError("device.not_encrypted")
        if choice == "encrypted" and self.encryption_locked:
            return UnitError("device.encryption_locked")
        return None


@dataclass(frozen=True, slots=True)
class Rates:
    """Baud rates of a session."""

    sync: int
    """Of the first word to the ROM loader; where that fails, 115200 is tried."""
    transfer: int
    """Of everything behind it."""


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
    first_baud: int = 0
    """Baud rate of the next sync, after any fallback; 0 where the port's rate is not ours to set.
    """

    @property
    def rates(self) -> Rates | None:
        """What this port was found to bear; None where nothing was found out."""
        return Rates(self.first_baud, self.baud) if self.first_baud else None


def public_fact(name: str, text: str, is_token: IsToken) -> str:
    """What a device told under ``name``, fit to be kept and shown: tokens hidden.

    A long number that names the unit stays, in its grouped form, once the ledger has said that no
    token of its own is written so. Raises ``UnitError("device.identity_is_token")``.
    """
    if name in IDENTITIES and long_number(text):
        if any(is_token(AuthToken(one)) for one in _token_shaped(text)):
            raise UnitError("device.identity_is_token", kind=name)
        text = grouped(text)
    return mask(text)


def _token_shaped(text: str) -> Iterator[str]:
    """Every AuthToken that the number could be a way of writing."""
    digits = "".join(letter for letter in text if letter.isalnum())
    for form in dict.fromkeys((text, digits, digits.lower(), digits.upper())):
        for at in range(len(form) - _TOKEN + 1):
            if AuthToken.looks_like(form[at : at + _TOKEN]):
                yield form[at : at + _TOKEN]
