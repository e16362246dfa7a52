"""The ESP32-C3 fixture: what ESP-IDF's second-stage bootloader checks, and what its code does.

Checks: ESP-IDF ``components/bootloader_support/src/esp_image_format.c`` and
``bootloader_utility.c``; addresses: ``soc/esp32c3`` (SOC_DROM, SOC_IROM, SOC_DRAM, SOC_IRAM).
"""

import struct
import subprocess
from pathlib import Path

import pytest

from eol_inject.image import EspImage, open_image, patch
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware
from tests.support.rv32 import Machine

PAGE = 0x10000
DROM = range(0x3C000000, 0x3C800000)
IROM = range(0x42000000, 0x42800000)
DRAM = range(0x3FC80000, 0x3FCE0000)
IRAM = range(0x4037C000, 0x403E0000)
BOOTLOADER_DRAM = range(0x3FCC0000, 0x3FCE0000)
"""Data, stack and stack headroom of any ESP-IDF bootloader on this chip, generously."""
TOKEN = "-Ab_12345678901234567890123456zZ"


@pytest.fixture
def app() -> EspImage:
    return open_image(firmware.app("esp32c3"), chip="esp32c3")


def console(image: bytes) -> str:
    """What an image prints on UART0 when something loads and starts it."""
    printed = bytearray()

    def write(address: int, value: int) -> None:
        if address == 0x60000000:
            printed.append(value)

    parsed = open_image(image)
    machine = Machine(parsed.entry, on_write=write)
    for segment in parsed.segments:
        if segment.load_address >= 0x10000000:
            machine.load(segment.load_address, image[segment.offset : segment.end])
    machine.load(DRAM.start, bytes(len(DRAM)))  # behind the segments: only what is not loaded
    machine.run(200_000)
    return printed.decode("ascii")


def test_mapped_segments_lie_in_flash_as_in_the_address_space(app: EspImage) -> None:
    """``verify_segment_header``: data offset and load address agree modulo the 64 KiB page."""
    mapped = [s for s in app.segments if s.load_address in DROM or s.load_address in IROM]
    assert len(mapped) == 2
    for segment in mapped:
        assert (0x10000 + segment.offset) % PAGE == segment.load_address % PAGE


def test_one_data_and_one_code_segment_are_mapped_on_different_pages(app: EspImage) -> None:
    """``unpack_load_app`` maps one of each, and both buses share one MMU table on this chip."""
    (drom,) = [s for s in app.segments if s.load_address in DROM]
    (irom,) = [s for s in app.segments if s.load_address in IROM]
    pages = [
        set(
            range(
                (s.load_address - bus.start) // PAGE,
                (s.load_address + s.size - bus.start) // PAGE + 1,
            )
        )
        for s, bus in ((drom, DROM), (irom, IROM))
    ]
    assert not pages[0] & pages[1]


def test_loaded_segments_are_clear_of_the_bootloader(app: EspImage) -> None:
    """``verify_load_addresses``: wholly in RAM, not over the loader's stack, data or code."""
    loaded = [
        s
        for s in app.segments
        if s.load_address >= 0x10000000
        and s.load_address not in DROM
        and s.load_address not in IROM
    ]
    assert loaded
    for segment in loaded:
        last = segment.load_address + segment.size - 1
        as_data = (
            segment.load_address - 0x700000
            if segment.load_address in IRAM
            else segment.load_address
        )
        assert (segment.load_address in DRAM and last in DRAM) or (
            segment.load_address in IRAM and last in IRAM
        )
        assert as_data + segment.size <= BOOTLOADER_DRAM.start


def test_every_segment_has_whole_words_and_less_than_16_mib(app: EspImage) -> None:
    """``process_segment`` and ``verify_segment_header``."""
    assert all(s.size % 4 == 0 and s.size < 1 << 24 for s in app.segments)


def test_header_suits_every_revision_of_the_chip() -> None:
    """``bootloader_common_check_chip_validity``: chip id 5, from v0.0, to v3.99, hash appended."""
    data = firmware.app("esp32c3")
    chip_id, min_rev, min_full, max_full = struct.unpack_from("<HBHH", data, 12)
    assert (chip_id, min_rev, min_full, max_full) == (5, 0, 0, 399)
    assert data[23] == 1


def test_the_first_segment_begins_with_a_sound_application_description(app: EspImage) -> None:
    """Segment 0 is read as ``esp_app_desc_t`` whatever it holds: eFuse revisions, MMU page."""
    data, first = app.data, app.segments[0]
    assert first.offset == 0x20
    assert first.load_address in DROM
    magic, secure_version = struct.unpack_from("<II", data, 0x20)
    assert (magic, secure_version) == (0xABCD5432, 0)
    assert data[0x20 + 16 : 0x20 + 22] == b"1.0.0\0"
    assert any(data[0x20 + 144 : 0x20 + 176])  # elf2image put the ELF's SHA-256 there
    assert struct.unpack_from("<HHB", data, 0x20 + 176) == (0, 0xFFFF, 16)


def test_the_entry_point_is_in_loaded_code(app: EspImage) -> None:
    """It starts in IRAM, as ESP-IDF's own applications do."""
    (segment,) = [s for s in app.segments if s.load_address in IRAM]
    assert segment.load_address <= app.entry < segment.load_address + segment.size


def test_the_golden_application_says_that_its_region_is_a_placeholder() -> None:
    """The C code, run instruction by instruction, tells firmware, version and size."""
    printed = console(firmware.app("esp32c3"))
    assert "firmware TMPLsample01 1.0.0 on ESP32-C3" in printed
    assert "blnkopt: 306 bytes, placeholder" in printed
    assert "FIXTURE ONLY" not in printed
    assert printed.endswith("ready\r\n")


def test_a_patched_application_finds_its_token_and_host() -> None:
    """What we write is what the firmware's own walk of the constant finds."""
    spec = BlnkoptSpec(
        kind="blnkopt", values={"ssid": "", "auth": "{auth}", "host": "{where}", "port": "443"}
    )
    fields = {"where": "fra1.blynk.cloud"}
    patched = patch(firmware.app("esp32c3"), [spec], AuthToken(TOKEN), fields)
    printed = console(patched.data)
    assert "blnkopt: 306 bytes, filled\r\nblnkopt: host fra1.blynk.cloud\r\n" in printed
    assert f"FIXTURE ONLY, never in a product: token {TOKEN}\r\nready\r\n" in printed


def test_the_boot_fixture_says_that_it_is_none() -> None:
    """It runs from RAM alone and starts nothing."""
    data = (firmware.FOLDER / "esp32c3_boot.bin").read_bytes()
    assert all(s.load_address in DRAM or s.load_address in IRAM for s in open_image(data).segments)
    assert "starts no application" in console(data)


@pytest.mark.needs_debian("riscv64-unknown-elf-gcc")
def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    """The committed binaries are what the committed sources make, with the recorded compiler."""
    version = subprocess.run(
        ["riscv64-unknown-elf-gcc", "-dumpfullversion"], capture_output=True, text=True, check=True
    ).stdout.strip()
    recorded = firmware.script().COMPILER_VERSION
    if version != recorded:
        pytest.skip(f"the compiler is {version}; the fixtures were built by {recorded}")
    made = firmware.script().build(tmp_path)
    assert {name: (firmware.FOLDER / name).read_bytes() == data for name, data in made.items()} == (
        dict.fromkeys(made, True)
    )
