"""Who is on the wire, and what protects it: read before anything else is done to the chip."""

from dataclasses import dataclass
from typing import Any, Final

from eol_inject.device.esp_lib import agreed, each_word_once, plain_name
from eol_inject.device.identity import Security
from eol_inject.errors import StationError, UnitError
from eol_inject.unit import Identifier, Unit

_BOOT_CRYPT_ODD: Final = 1
"""Flash encryption is on while an odd number of bits of the boot crypt counter is burned."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the chip's ROM tells without the stub and without touching the flash."""

    unit: Unit
    chip: str
    revision: str
    security: Security


def read_facts(esp: Any, *, expected: str) -> Facts:
    """The facts of the chip behind ``esp``.

    Raises ``UnitError`` with ``device.wrong_chip``, ``device.bad_identity``, or
    ``device.secure_download``: in that mode the chip does not even tell who it is.
    """
    chip = plain_name(esp.CHIP_NAME)
    if chip != expected:
        raise UnitError("device.wrong_chip", expected=expected, found=chip)
    security = read_security(esp, anew=False)
    if security.any or not esp.SECURITY_INFO_SUPPORTED:
        # the chip's report and its registers are two readings already, and either one counts: only
        # a bit that says something, or has no second witness, is asked for again
        security = agreed(lambda: read_security(esp))
    if security.secure_download:
        security.refuse_if_secured()
    return Facts(agreed(lambda: read_unit(esp)), chip, _revision(esp), security)


def read_unit(esp: Any) -> Unit:
    """The unit by its BASE MAC, the one identifier every ESP chip is born with."""
    mac = esp.read_mac("BASE_MAC")
    return Unit(Identifier("mac", bytes(mac).hex()))


def require_same(esp: Any, unit: Unit) -> None:
    """Raise ``StationError("device.unit_changed")`` where another unit is on the wire.

    The station is to blame, and neither unit is judged: the one that was begun is no longer here
    to be looked at, and the one that is here was never asked for.
    """
    if read_unit(esp).primary == unit.primary:
        return
    found = agreed(lambda: read_unit(esp))
    if found.primary != unit.primary:
        raise StationError("device.unit_changed", was=str(unit), now=str(found))


def read_security(esp: Any, *, anew: bool = True) -> Security:
    """Protections, by the ROM's own report and by the eFuse registers: either one counts.

    Not ``anew``: the report that told which chip it is, since the reset, is good enough.

    ESP32 and ESP8266 have no such report; in Secure Download Mode the registers are closed.
    """
    encrypted = signed = locked = False
    if esp.SECURITY_INFO_SUPPORTED:
        info = esp.get_security_info(cache=not anew)
        encrypted = bool(int(info["flash_crypt_cnt"]).bit_count() & _BOOT_CRYPT_ODD)
        signed = bool(info["parsed_flags"]["SECURE_BOOT_EN"])
    closed = bool(esp.secure_download_mode)
    if not closed:
        encrypted = encrypted or bool(esp.get_flash_encryption_enabled())
        signed = signed or bool(esp.get_secure_boot_enabled())
        locked = encrypted and bool(esp.get_encrypted_download_disabled())
    return Security(
        flash_encryption=encrypted,
        secure_boot=signed,
        secure_download=closed,
        encryption_locked=locked,
    )


def _revision(esp: Any) -> str:
    """``v3.0``; ESP8266 has no revision to read."""
    if esp.CHIP_NAME == "ESP8266":
        return ""
    with each_word_once(esp):
        return f"v{esp.get_major_chip_version()}.{esp.get_minor_chip_version()}"
