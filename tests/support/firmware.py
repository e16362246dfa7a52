"""Firmware images for tests: the shipped fixtures, and true containers for any chip.

The containers are esptool's (``elf2image``), so a test never judges our reading by our own writing.
"""

import importlib.util
import random
import struct
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "firmware"
APPS = ("esp32", "esp32c3", "esp8266")
"""Chips with a shipped application."""


@cache
def script() -> ModuleType:
    """``fixtures/firmware/build.py``, which is a script and not a package."""
    spec = importlib.util.spec_from_file_location("fixture_build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def app(chip: str) -> bytes:
    """The shipped application of ``chip``."""
    return (FOLDER / f"{chip}_app.bin").read_bytes()


@cache
def merged() -> bytes:
    """The shipped merged image of ESP32-C3."""
    return (FOLDER / "esp32c3_merged.bin").read_bytes()


def blnkopt(placeholder: str | None = None) -> bytes:
    """The stock constant, or one with another placeholder."""
    constant: bytes = script().blnkopt() if placeholder is None else script().blnkopt(placeholder)
    return constant


def blnkinf(fw_type: str = "TMPLsample01", version: str = "1.0.0") -> bytes:
    """The identity constant."""
    constant: bytes = script().blnkinf(fw_type, version)
    return constant


def every_chip() -> list[str]:
    """Every chip this esptool knows."""
    from esptool.targets import CHIP_LIST

    return list(CHIP_LIST)


def make_app(chip: str, rodata: bytes, *, ram: bytes = b"", **options: Any) -> bytes:
    """An application of ``chip`` whose constants are ``rodata`` and whose RAM data is ``ram``."""
    build = script()
    from esptool.targets import CHIP_DEFS

    rom = CHIP_DEFS[chip]
    places = {kind: start for start, _, kind in reversed(rom.MEMORY_MAP)}
    code = build.padded(random.Random(chip).randbytes(700))
    section = build.Section
    if chip == "esp8266":
        sections = [
            section(".text", 0x40100000, code, code=True),
            section(".data", 0x3FFE8000, build.padded(ram or b"ram.")),
            section(".irom0.text", 0x40201010, build.padded(rodata)),
        ]
        elf = build.write_elf(sections, 0x40100000, riscv=False)
        image: bytes = build.elf2image(elf, chip, **{"version": "2", **options})
        return image
    same_bus = rom.DROM_MAP_START == rom.IROM_MAP_START
    drom = rom.DROM_MAP_START + (0x200000 if same_bus else 0) + 0x20
    constants = build.padded(build.app_desc() + rodata)
    sections = [
        section(".flash.rodata", drom, constants),
        section(".dram0.data", places["DRAM"] + 0x8000, build.padded(ram or b"ram.")),
        section(".iram0.text", places["IRAM"] + 0x10000, code, code=True),
        section(".flash.text", rom.IROM_MAP_START + 0x20, code, code=True),
    ]
    elf = build.write_elf(sections, places["IRAM"] + 0x10000, riscv=True)
    made: bytes = build.elf2image(elf, chip, **options)
    return made


def merge(*slots: bytes, table: bytes | None = None) -> bytes:
    """A flash image with ``slots`` in app0 and app1 of the fixtures' partition table."""
    build = script()
    data = bytearray(b"\xff" * (0x10000 + 0x140000 * (len(slots) - 1) + len(slots[-1])))
    boot = (FOLDER / "esp32c3_boot.bin").read_bytes()
    data[: len(boot)] = boot
    rows = build.partition_table() if table is None else table
    data[0x8000 : 0x8000 + len(rows)] = rows
    for number, slot in enumerate(slots):
        at = 0x10000 + 0x140000 * number
        data[at : at + len(slot)] = slot
    return bytes(data)


def sketch(constants: bytes, *, crc: bool = True) -> bytes:
    """What the Arduino core's ``elf2bin.py`` would make: written after its source, bit by bit."""
    data = _version_1({0x4010F000: b"eboot..."}, 0x4010F000)
    data = data.ljust(4096, b"\xaa")
    data += _version_1(
        {0x40201010: script().padded(constants), 0x40100000: b"code" * 40, 0x3FFE8000: b"data" * 9},
        0x40100004,
    )
    if not crc:
        return data
    blanked, value = data[:4088] + bytes(8) + data[4096:], 0xFFFFFFFF
    for byte in blanked:
        for mask in (0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1):
            carry = bool(value & 0x80000000) != bool(byte & mask)
            value = (value << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if carry else 0)
    return data[:4088] + struct.pack("<II", len(data), value) + data[4096:]


def _version_1(segments: dict[int, bytes], entry: int) -> bytes:
    data, checksum = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x40, entry), 0xEF
    for address, content in segments.items():
        data += struct.pack("<II", address, len(content)) + content
        for byte in content:
            checksum ^= byte
    return data + bytes(15 - len(data) % 16) + bytes([checksum])


def esptool_calls_valid(chip: str, image: bytes) -> bool:
    """What ``esptool image-info`` would say of checksum and hash."""
    from esptool.bin_image import ESP8266V2FirmwareImage, LoadFirmwareImage, esp8266_crc32

    loaded = LoadFirmwareImage(chip, image)
    if loaded.checksum != loaded.calculate_checksum():
        return False
    if isinstance(loaded, ESP8266V2FirmwareImage):
        # image-info does not look at it, the SDK's boot loader does
        return image[-4:] == struct.pack("<I", esp8266_crc32(image[:-4]))
    if chip != "esp8266" and loaded.append_digest:
        return bool(loaded.stored_digest == loaded.calc_digest)
    return True
