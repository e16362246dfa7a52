"""The unit's application follows from the golden image, or what does not is told."""

import pytest

from eol_inject.verify import Where, against_golden
from tests.support import firmware
from tests.unit.verify.building import STOCK, Wire, esp32_app, filled, flash

AT = 0x10000
GOLDEN, HINT = esp32_app(STOCK)
UNIT, _ = esp32_app(filled())
WHERE = Where("esp32", AT, 0x8000, "blnkopt", HINT, len(STOCK), 5)


def faults(unit: bytes, golden: bytes = GOLDEN, where: Where = WHERE) -> tuple[str, ...]:
    """Everything of the unit is read."""
    wire = Wire(flash({where.app_address: unit}, 0x40000))
    return against_golden(wire, golden, where, changed=[(where.app_address, 0x20000)])


def test_another_region_and_its_seal_are_no_fault() -> None:
    """Nor is the golden image itself."""
    assert faults(UNIT) == ()
    assert faults(GOLDEN) == ()


@pytest.mark.parametrize("at", [4, HINT - 1, HINT + len(STOCK), len(GOLDEN) - 40])
def test_a_stray_byte_is_told_with_its_address(at: int) -> None:
    """Wherever it is, seal or no seal."""
    unit = bytearray(UNIT)
    unit[at] ^= 1
    assert faults(bytes(unit))[0] == f"the byte at 0x{AT + at:X} is not the golden image's"


def test_checksum_and_digest_are_followed_from_golden() -> None:
    """Each has its own phrase."""
    wrong = bytearray(UNIT)
    wrong[-33] ^= 1
    assert faults(bytes(wrong)) == (
        "the checksum does not follow from the golden image's",
        "the digest is not that of the bytes before it",
    )
    wrong = bytearray(UNIT)
    wrong[-1] ^= 1
    assert faults(bytes(wrong)) == ("the digest is not that of the bytes before it",)


def test_only_what_changed_is_read() -> None:
    """The rest is golden's by proof."""
    wire = Wire(flash({AT: UNIT}, 0x40000))
    sectors = [(AT, 0x1000), (AT + len(UNIT) // 0x1000 * 0x1000, 0x1000)]
    assert against_golden(wire, GOLDEN, WHERE, changed=sectors) == ()
    assert wire.bytes == 0x1000 + len(UNIT) % 0x1000
    assert against_golden(wire, GOLDEN, WHERE, changed=[sectors[0]]) != ()


@pytest.mark.parametrize("place", ["irom", "ram"])
def test_esp8266_sums_ram_and_not_the_flash_mapped_segment(place: str) -> None:
    """Version 2: a region in the flash-mapped segment leaves the checksum alone."""
    made = {
        which: firmware.make_app("esp8266", constant)
        if place == "irom"
        else firmware.make_app("esp8266", b"constants", ram=constant)
        for which, constant in (("golden", STOCK), ("unit", filled()))
    }
    hint = made["golden"].index(STOCK)
    where = Where("esp8266", 0x1000, None, "blnkopt", hint, len(STOCK))
    assert faults(made["unit"], made["golden"], where) == ()
    wrong = bytearray(made["unit"])
    wrong[-5] ^= 1
    assert "the checksum does not follow from the golden image's" in faults(
        bytes(wrong), made["golden"], where
    )


@pytest.mark.parametrize(
    ("golden", "where"),
    [
        (GOLDEN[:-1] + b"\0", WHERE),
        (GOLDEN[:200], WHERE),
        (b"\xff" * 600, WHERE),
        (GOLDEN, Where("esp32", AT, 0x8000, "blnkopt")),
    ],
)
def test_without_a_sound_golden_image_nothing_follows(golden: bytes, where: Where) -> None:
    """Its own digest has to stand where we say that it does."""
    assert faults(UNIT[: len(golden)], golden, where) == (
        "the golden image's own digest does not stand where it should",
    )
