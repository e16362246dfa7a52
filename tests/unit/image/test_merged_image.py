"""Merged flash images: recognised, described, and patched only where nothing is ambiguous."""

import hashlib
import struct

import pytest

from eol_inject.errors import UsageError
from eol_inject.image import Golden, describe, open_image, patch, plan
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
AUTH = AuthToken("m" * 32)


def code(data: bytes) -> str:
    with pytest.raises(UsageError) as caught:
        patch(data, [SPEC], AUTH, {})
    return caught.value.code


def test_the_fixture_is_told_as_what_it_is() -> None:
    """Boot loader, table, one of two slots; every partition with its use."""
    told = describe(firmware.merged())
    assert told.kind == "merged"
    assert "1 of 2 application slots filled" in told.words
    assert [image.role for image in told.images] == ["boot loader", "application in app0"]
    assert [(row.label, row.use) for row in told.partitions[:3]] == [
        ("nvs", "NVS"),
        ("otadata", "choice of the application (otadata)"),
        ("app0", "application slot ota_0"),
    ]


def test_the_map_has_everything_by_its_place() -> None:
    """Boot loader, table, partitions, the application in its slot, the region in that."""
    told = describe(firmware.merged())
    assert [(row.start, row.size, row.what) for row in told.map] == [
        (0x0, 320, "boot loader"),
        (0x8000, 0xC00, "partition table"),
        (0x9000, 0x5000, "nvs, NVS, erased"),
        (0xE000, 0x2000, "otadata, choice of the application (otadata), erased"),
        (0x10000, 0x140000, "app0, application slot ota_0"),
        (0x10000, 66368, "application in app0"),
        (0x10234, 306, "region blnkopt, placeholder"),
        (0x150000, 0x140000, "app1, application slot ota_1, beyond the file"),
        (0x290000, 0x1000, "phy_init, radio calibration (phy), beyond the file"),
    ]


def test_one_filled_slot_is_patched_in_place() -> None:
    """The application inside is what it would be alone; everything around it stays."""
    golden = firmware.merged()
    patched = patch(golden, [SPEC], AUTH, {}).data
    assert patched[:0x10000] == golden[:0x10000]
    assert patched[0x10000:] == patch(firmware.app("esp32c3"), [SPEC], AUTH, {}).data
    assert plan(golden, patched, 0).addresses == (0x10000, 0x20000)
    assert Golden(golden, [SPEC]).image.start == 0x10000


def test_two_filled_slots_are_a_trap_and_refused() -> None:
    """The unit may start either; the note says so before anybody tries."""
    data = firmware.merge(firmware.app("esp32c3"), firmware.app("esp32c3"))
    assert code(data) == "image.two_slots"
    assert "More than one application slot is filled" in describe(data).notes[0]


def test_a_table_without_an_application_is_refused() -> None:
    """Boot loader and partition table alone hold no region."""
    assert code(firmware.merged()[:0x10000]) == "image.no_application"


def test_a_table_inside_an_applications_own_data_is_data() -> None:
    """A partition table as a constant of the firmware does not make it a merged image."""
    table = firmware.script().partition_table()
    image = firmware.make_app("esp32", b"\xaa" * (0x8000 - 0x120) + table + firmware.blnkopt())
    assert image[0x8000:0x8002] == b"\xaa\x50"
    assert describe(image).kind == "application"
    assert open_image(image).start == 0


def test_a_table_whose_md5_is_wrong_is_no_table() -> None:
    """A torn table proves nothing; the file is then what its start says."""
    table = bytearray(firmware.script().partition_table())
    table[8] ^= 1
    assert (
        describe(firmware.merge(firmware.app("esp32c3"), table=bytes(table))).kind == "application"
    )


def test_an_application_longer_than_its_slot_is_told() -> None:
    """The boot loader would refuse it."""
    rows = (
        firmware.script()
        .partition_table()
        .replace(struct.pack("<II", 0x10000, 0x140000), struct.pack("<II", 0x10000, 0x10000))
    )
    entries = rows[: 5 * 32]
    table = (
        entries + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries, usedforsecurity=False).digest()
    )
    told = describe(firmware.merge(firmware.app("esp32c3"), table=table))
    assert told.notes == ("The application in app0 is longer than its slot.",)


def test_chips_with_the_boot_loader_further_up_are_found_too() -> None:
    """ESP32 has it at 0x1000, with FF before."""
    boot = (firmware.FOLDER / "esp32_boot.bin").read_bytes()
    data = bytearray(b"\xff" * 0x10000) + firmware.app("esp32")
    data[0x1000 : 0x1000 + len(boot)] = boot
    data[0x8000 : 0x8000 + 0xC00] = firmware.script().partition_table()
    told = describe(bytes(data))
    assert [image.offset for image in told.images] == [0x1000, 0x10000]
    assert firmware.esptool_calls_valid(
        "esp32", patch(bytes(data), [SPEC], AUTH, {}).data[0x10000:]
    )


def test_the_wrong_chip_in_a_slot_is_refused() -> None:
    """The profile's chip holds for the boot loader and for every slot."""
    with pytest.raises(UsageError) as caught:
        open_image(firmware.merged(), chip="esp32")
    assert caught.value.code == "image.wrong_chip"
