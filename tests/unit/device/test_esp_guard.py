"""Identity and protections, read from a loader whose answers may be damaged or be another's."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from eol_inject.device.esp_guard import read_facts, read_security, require_same
from eol_inject.device.esp_lib import ReadingsDifferError
from eol_inject.device.identity import Security
from eol_inject.errors import StationError, UnitError
from eol_inject.unit import Identifier, Unit

MAC, BENT, OTHER = (
    bytes.fromhex(text) for text in ("a0764e510005", "a0764e510007", "a0764e5100ff")
)
UNIT = Unit(Identifier("mac", MAC.hex()))


class Loader:
    """Answers like esptool's object for a chip; MACs as a script says, then the last one."""

    CHIP_NAME = "ESP32-C3"
    SECURITY_INFO_SUPPORTED = True
    secure_download_mode = False

    def __init__(self, *macs: bytes, info: tuple[int, bool] = (0, False)) -> None:
        self.macs: Iterator[bytes] = chain(macs, repeat(macs[-1] if macs else MAC))
        self.info = info
        self.efuses = (False, 0)
        self.locked = 0
        self.reports = 0

    def read_mac(self, kind: str) -> tuple[int, ...]:
        assert kind == "BASE_MAC"
        return tuple(next(self.macs))

    def get_security_info(self, cache: bool = True) -> dict[str, Any]:
        self.reports += not cache
        count, signed = self.info
        return {"flash_crypt_cnt": count, "parsed_flags": {"SECURE_BOOT_EN": signed}}

    def read_reg(self, address: int, timeout: float = 3) -> int:
        raise NotImplementedError

    def get_flash_encryption_enabled(self) -> bool:
        return self.efuses[0]

    def get_secure_boot_enabled(self) -> int:
        return self.efuses[1]

    def get_encrypted_download_disabled(self) -> int:
        return self.locked

    def get_major_chip_version(self) -> int:
        return 0

    def get_minor_chip_version(self) -> int:
        return 4


def test_a_chip_that_always_says_the_same_is_believed() -> None:
    """Unit, chip and revision."""
    facts = read_facts(Loader(MAC), expected="esp32c3")
    assert (facts.unit, facts.chip, facts.revision) == (UNIT, "esp32c3", "v0.4")


@pytest.mark.parametrize("macs", [(BENT, MAC, MAC), (MAC, MAC, BENT)])
def test_one_damaged_answer_does_not_make_another_unit(macs: tuple[bytes, ...]) -> None:
    """Two readings in a row have to agree."""
    assert read_facts(Loader(*macs), expected="esp32c3").unit == UNIT


def test_answers_that_never_agree_are_no_identity() -> None:
    """Rather none than a wrong one."""
    with pytest.raises(ReadingsDifferError):
        read_facts(Loader(BENT, MAC, OTHER, MAC), expected="esp32c3")


def test_one_damaged_answer_does_not_make_the_unit_another() -> None:
    """Before anybody says that the unit was changed, it is asked again."""
    require_same(Loader(BENT, MAC, MAC), UNIT)
    with pytest.raises(StationError) as caught:
        require_same(Loader(OTHER), UNIT)
    assert caught.value.params == {"was": "a0:76:4e:51:00:05", "now": "a0:76:4e:51:00:ff"}


def test_the_report_that_named_the_chip_is_not_asked_for_again() -> None:
    """Its second witness are the registers; where either says something, both are asked anew."""
    loader = Loader(MAC)
    read_facts(loader, expected="esp32c3")
    assert loader.reports == 0
    loader.info = (0, True)
    assert read_facts(loader, expected="esp32c3").security.secure_boot
    assert loader.reports >= 1


@pytest.mark.parametrize("count", [0, 3, 5, 6])
def test_flash_encryption_is_on_while_an_odd_number_of_bits_is_burned(count: int) -> None:
    """ESP-IDF, "Flash Encryption": the counter is switched on and off by burning bits."""
    assert not read_security(Loader(info=(count, False))).flash_encryption
    assert read_security(Loader(info=(count ^ 8, False))).flash_encryption


def test_either_source_that_says_protected_counts() -> None:
    """The ROM's report, or the eFuse registers."""
    loader = Loader(info=(0, True))
    assert read_security(loader) == Security(secure_boot=True)
    loader = Loader()
    loader.efuses = (True, 0x10)
    assert read_security(loader) == Security(flash_encryption=True, secure_boot=True)


def test_a_chip_in_release_mode_encrypts_nothing_for_its_loader() -> None:
    """ESP-IDF "Flash Encryption", release mode; without flash encryption the bit means nothing."""
    loader = Loader(info=(1, False))
    assert not read_security(loader).encryption_locked
    loader.locked = 1 << 20
    assert read_security(loader) == Security(flash_encryption=True, encryption_locked=True)
    loader.info = (0, False)
    assert read_security(loader) == Security()


def test_in_secure_download_mode_nothing_else_is_asked() -> None:
    """Registers and MAC are closed there; asking would only fail in a less clear way."""
    loader = Loader()
    loader.secure_download_mode = True
    loader.macs = iter(())
    loader.get_flash_encryption_enabled = None  # type: ignore[assignment]
    with pytest.raises(UnitError) as caught:
        read_facts(loader, expected="esp32c3")
    assert caught.value.code == "device.secure_download"
