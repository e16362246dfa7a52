"""The seal of the image on the unit, against images that esptool made and calls valid."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eol_inject.verify import Seal, Where, check_seal
from tests.support import firmware
from tests.unit.verify.building import STOCK, Wire, esp32_app, flash

AT = 0x10000


def where(family: str = "esp32", chip_id: int | None = None) -> Where:
    """An application at ``AT``."""
    return Where(
        family="esp8266" if family == "esp8266" else "esp32",
        app_address=AT,
        partition_table=None,
        region_kind="blnkopt",
        image_chip_id=chip_id,
    )


def seal_of(image: bytes, family: str = "esp32", chip_id: int | None = None) -> Seal:
    """The seal of ``image`` in an otherwise erased flash."""
    memory = flash({AT: image}, 0x100000)
    return check_seal(Wire(memory), AT, where(family, chip_id), end=len(memory))


@pytest.mark.parametrize("chip", firmware.APPS)
def test_the_shipped_applications_are_sealed(chip: str) -> None:
    """Checksum holds; SHA-256 or CRC-32 holds where there is one."""
    image = firmware.app(chip)
    seal = seal_of(image, "esp8266" if chip == "esp8266" else "esp32")
    assert seal.ok
    assert seal.why == ""
    assert seal.length == len(image)


@pytest.mark.parametrize("chip", firmware.every_chip())
def test_what_elf2image_makes_is_sealed_for_every_chip(chip: str) -> None:
    """Every chip this esptool knows."""
    image = firmware.make_app(chip, STOCK)
    family = "esp8266" if chip == "esp8266" else "esp32"
    assert seal_of(image, family).ok
    assert seal_of(image, family).hash_ok


def test_esp8266_version_1_has_no_hash() -> None:
    """Checksum only."""
    data = b"rodata" * 100
    image = struct.pack("<BBBBI", 0xE9, 1, 0, 0, 0x40100000)
    image += struct.pack("<II", 0x3FFE8000, len(data)) + data
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    image += b"\0" * (15 - len(image) % 16) + bytes([checksum])
    seal = seal_of(image, "esp8266")
    assert (seal.checksum_ok, seal.hash_ok, seal.ok) == (True, None, True)


@pytest.mark.parametrize("chip", firmware.APPS)
@given(data=st.data())
@settings(max_examples=30)
def test_any_changed_byte_breaks_the_seal(chip: str, data: st.DataObject) -> None:
    """One bit anywhere: checksum, hash, or the structure tells."""
    image = bytearray(firmware.app(chip))
    at = data.draw(st.integers(0, len(image) - 1))
    if at == 23 and chip != "esp8266":
        at = 24  # the byte that says whether a hash follows; a test of its own
    image[at] ^= 1 << data.draw(st.integers(0, 7))
    seal = seal_of(bytes(image), "esp8266" if chip == "esp8266" else "esp32")
    assert not seal.ok
    assert seal.why


def test_without_the_hash_flag_only_the_checksum_speaks() -> None:
    """And it says so: None is not True."""
    image, _ = esp32_app(STOCK, hashed=False)
    assert (seal_of(image).hash_ok, seal_of(image).ok) == (None, True)


def test_another_chips_application_would_not_start() -> None:
    """The bootloader compares the chip id."""
    image, _ = esp32_app(STOCK, chip_id=5)
    assert seal_of(image, chip_id=5).ok
    assert seal_of(image, chip_id=9).why == "the application is for another chip"


def test_erased_flash_has_no_seal() -> None:
    """Nothing begins there."""
    assert seal_of(b"").why == "no application begins there"


def test_a_half_written_application_has_no_seal() -> None:
    """Its segments lead into erased flash."""
    image, _ = esp32_app(STOCK)
    seal = seal_of(image[:0x400])
    assert (seal.checksum_ok, seal.why) == (False, "a segment has no possible length")


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_seal(data: bytes) -> None:
    """Also behind the two magic numbers."""
    for head in (b"", b"\xe9", b"\xea\x04"):
        for family in ("esp32", "esp8266"):
            assert not seal_of(head + data, family).ok
