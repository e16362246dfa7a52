"""The unmodified esptool, as a library, drives the simulated chips."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from esptool import cmds
from esptool.logger import log
from esptool.util import FatalError, UnsupportedCommandError

from eol_inject.chips import CHIPS
from eol_inject.sim import manage
from eol_inject.sim.models import MODELS
from tests.support import sim_images as make

pytestmark = pytest.mark.usefixtures("units")
THREE = ["esp8266", "esp32", "esp32c3"]
MAC = (0xA0, 0x76, 0x4E, 0x12, 0x34, 0x56)
MAC_TEXT = "a0:76:4e:12:34:56"
NOISE = random.Random(1).randbytes(3 * 4096)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    log.set_verbosity("silent")
    yield
    log.set_verbosity("auto")


def url(chip: str, *options: str) -> str:
    """A unit with a known MAC."""
    return "&".join([f"sim://{chip}?mac={MAC_TEXT}", *options])


@contextmanager
def session(text: str, *, stub: bool = True, baud: int = 0, **how: Any) -> Iterator[Any]:
    """Connected, in the loader, with its flash attached."""
    esp = cmds.connect_esp(text, **how)
    try:
        if stub:
            esp = cmds.run_stub(esp)
        if baud:
            esp.change_baud(baud)
        cmds.attach_flash(esp)
        yield esp
    finally:
        esp._port.close()


NO_STUB = {"esp32e22"}
"""esptool 5.6.0 brings none for it."""


def test_every_chip_can_be_simulated() -> None:
    """Who adds a row to the one table adds it to the other."""
    assert set(MODELS) == set(CHIPS)


@pytest.mark.parametrize("chip", sorted(MODELS))
def test_every_chip_is_detected_written_and_read(chip: str) -> None:
    """Type by autodetection, MAC, flash size, stub, a write and a read."""
    with session(url(chip, "flash=8MB")) as esp:
        assert CHIPS[chip].title == esp.CHIP_NAME
        assert tuple(esp.read_mac("BASE_MAC")) == MAC
        assert (chip not in NO_STUB) == esp.IS_STUB
        assert cmds.detect_flash_size(esp) == "8MB"
        cmds.write_flash(esp, [(0x10000, NOISE)])
        assert cmds.read_flash(esp, 0x10000, len(NOISE)) == NOISE
    assert manage.peek(url(chip), 0x10000, len(NOISE)) == NOISE


@pytest.mark.parametrize("chip", THREE)
def test_a_compressed_write_at_a_high_baud_rate_arrives(chip: str) -> None:
    """Deflate, several blocks, MD5, verify, at 921600."""
    data = NOISE + b"\x42" * 300_000 + NOISE
    with session(url(chip), baud=921600) as esp:
        cmds.write_flash(esp, [(0x20000, data)])
        cmds.verify_flash(esp, [(0x20000, data)])
        with pytest.raises(FatalError, match="Verification failed"):
            cmds.verify_flash(esp, [(0x20000, b"\0" + data[1:])])
    assert manage.peek(url(chip), 0x20000, len(data)) == data


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"])
def test_the_rom_alone_writes_and_reads_slowly(chip: str) -> None:
    """No stub: erase at begin, 64 bytes a read, MD5 in hex digits."""
    with session(url(chip), stub=False, baud=460800) as esp:
        assert not esp.IS_STUB
        assert esp.get_crystal_freq() == 40
        cmds.write_flash(esp, [(0x1000, NOISE)], flash_size="4MB")
        assert cmds.read_flash(esp, 0x1000, 1000, flash_size="4MB") == NOISE[:1000]
        cmds.verify_flash(esp, [(0x1000, NOISE)], flash_size="4MB")


def test_the_esp8266_rom_alone_writes_but_neither_reads_nor_hashes() -> None:
    """devices.md 7: verification needs the stub."""
    with session(url("esp8266"), stub=False) as esp:
        assert esp.get_crystal_freq() == 26
        cmds.write_flash(esp, [(0x1000, NOISE)])
        with pytest.raises(FatalError):
            esp.flash_md5sum(0, 16)
        with pytest.raises(FatalError):
            esp.read_flash(0, 16)
    assert manage.peek(url("esp8266"), 0x1000, len(NOISE)) == NOISE


def test_the_esp8266_rom_erases_one_sector_too_many() -> None:
    """esptool halves the size it asks for; an odd number of sectors loses one more."""
    unit = url("esp8266")
    manage.start(unit)
    manage.poke(unit, 0x1000, b"\0" * 5 * 4096)
    with session(unit, stub=False) as esp:
        cmds.write_flash(esp, [(0x1000, NOISE)])
    assert manage.peek(unit, 0x4000, 4096) == b"\xff" * 4096
    assert manage.peek(unit, 0x5000, 4096) == b"\0" * 4096


def test_the_rom_cannot_reach_beyond_two_megabytes_unasked() -> None:
    """Until SPI_SET_PARAMS the ROM believes in 2 MB."""
    with session(url("esp32c3"), stub=False) as esp:
        with pytest.raises(FatalError, match="read flash block"):
            esp.read_flash(0x200000, 64)
        esp.flash_set_parameters(4 * 1024 * 1024)
        assert esp.read_flash(0x200000, 64) == b"\xff" * 64


def test_an_unaligned_write_erases_the_whole_sector() -> None:
    """devices.md 1: 40 bytes at 0x9010 turn the rest of the sector into FF."""
    unit = url("esp32")
    manage.start(unit)
    manage.poke(unit, 0x8000, b"\0" * 3 * 4096)
    with session(unit) as esp:
        cmds.write_flash(esp, [(0x9010, b"\x55" * 40)])
    expected = b"\xff" * 16 + b"\x55" * 40 + b"\xff" * (4096 - 56)
    assert manage.peek(unit, 0x9000, 4096) == expected
    assert manage.peek(unit, 0x8000, 4096) == manage.peek(unit, 0xA000, 4096) == b"\0" * 4096


def test_programming_without_an_erase_gives_the_and() -> None:
    """The stub erases sector by sector as it writes: what was not begun anew is not erased."""
    unit = url("esp32c3")
    with session(unit) as esp:
        cmds.write_flash(esp, [(0, b"\x0f" * 4096)])
        manage.poke(unit, 0x1000, b"\xf3" * 4096)
        esp.flash_begin(4096, 0x0)
        esp.flash_block(b"\x3c" * 4096, 0)
        assert manage.peek(unit, 0, 4096) == b"\x3c" * 4096
        assert manage.peek(unit, 0x1000, 4096) == b"\xf3" * 4096


@pytest.mark.parametrize("chip", ["esp8266", "esp32c3"])
def test_erasing_by_region_and_whole(chip: str) -> None:
    """Through the stub, on all three."""
    unit = url(chip)
    manage.start(unit)
    manage.poke(unit, 0, b"\0" * 4 * 4096)
    with session(unit) as esp:
        cmds.erase_region(esp, 0x1000, 0x1000)
        assert manage.peek(unit, 0, 3 * 4096) == b"\0" * 4096 + b"\xff" * 4096 + b"\0" * 4096
        cmds.erase_flash(esp)
        assert manage.peek(unit, 0, 4 * 4096) == b"\xff" * 4 * 4096


def test_a_failed_rom_block_ends_the_session() -> None:
    """devices.md 5: after a bad block every retry gets 0105; a new begin is needed."""
    with session(url("esp32"), stub=False) as esp:
        esp.flash_begin(2048, 0)
        with pytest.raises(FatalError, match="0107"):
            esp.check_command("x", 0x03, b"\x04\0\0\0" + bytes(12) + b"abcd", 0)
        with pytest.raises(FatalError, match="0105"):
            esp.flash_block(bytes(1024), 0)
        esp.flash_begin(2048, 0)
        esp.flash_block(bytes(1024), 0)


def test_a_stub_that_was_left_running_is_found_again() -> None:
    """devices.md 3: the next stub session reuses it, the next ROM session fails with C000."""
    unit = url("esp32c3")
    with session(unit):
        pass
    resets = manage.status(unit).resets
    with session(unit, before="no-reset") as esp:
        assert esp.IS_STUB
    assert manage.status(unit).resets == resets
    with (
        pytest.raises(FatalError, match="C000"),
        session(unit, stub=False, before="no-reset", chip="esp32c3"),
    ):
        pass


def test_the_wrong_baud_rate_gives_garbage() -> None:
    """Both ways: the loader does not understand, and what it says is not understood."""
    with session(url("esp32c3"), baud=460800) as esp:
        esp._port.baudrate = 115200
        with pytest.raises(FatalError):
            esp.sync()
        esp._port.baudrate = 460800
        esp.flush_input()
        esp.sync()


def test_another_chip_than_named_is_noticed() -> None:
    """``--chip esp32`` on an ESP32-C3."""
    with pytest.raises(FatalError, match="This chip is ESP32-C3, not ESP32"):
        cmds.connect_esp(url("esp32c3"), chip="esp32")


# -- security ------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32c3"])
def test_secure_boot_and_flash_encryption_are_visible(chip: str) -> None:
    """By efuse registers everywhere, by the security information where there is such a command."""
    plain = url(chip)
    with session(plain, stub=False) as esp:
        assert not esp.get_secure_boot_enabled()
        assert not esp.get_flash_encryption_enabled()
    locked = url(chip, "id=locked", "secure_boot=1", "flash_encryption=1")
    with session(locked, stub=False) as esp:
        assert esp.get_secure_boot_enabled()
        assert esp.get_flash_encryption_enabled()
        if esp.SECURITY_INFO_SUPPORTED:
            info = esp.get_security_info()
            assert info["parsed_flags"]["SECURE_BOOT_EN"]
            assert info["flash_crypt_cnt"] == 1


def test_secure_download_mode_leaves_writing_and_nothing_else() -> None:
    """No stub, no registers, no reads, no MD5; esptool sees why."""
    unit = url("esp32c3", "secure_download=1")
    with session(unit) as esp:
        assert esp.secure_download_mode
        assert not esp.IS_STUB
        for forbidden, arguments in (
            (esp.read_reg, (0x40001000,)),
            (esp.read_flash, (0, 64)),
            (esp.flash_md5sum, (0, 64)),
        ):
            with pytest.raises((UnsupportedCommandError, FatalError)):
                forbidden(*arguments)
        cmds.write_flash(esp, [(0, NOISE)], flash_size="4MB")
    assert manage.peek(unit, 0, len(NOISE)) == NOISE


def test_a_stub_does_not_start_on_a_locked_esp32c3_but_does_on_an_esp32s3() -> None:
    """Secure boot: esptool has a way around on one of them."""
    with session(url("esp32s3", "secure_boot=1")) as esp:
        assert esp.IS_STUB
        assert cmds.read_flash(esp, 0, 64) == b"\xff" * 64
    with session(url("esp32c3", "secure_boot=1")) as esp:
        assert not esp.IS_STUB


def test_flash_encryption_takes_encrypted_writes_and_chokes_on_plain_ones() -> None:
    """Line-failures 15: what was written plain is garbage once decrypted; nothing reads back."""
    unit = url("esp32c3", "flash_encryption=1")
    parts = [
        (0, make.esp32_image(5)),
        (0x8000, make.OTA_TABLE),
        (0x10000, make.esp32_image(5, make.filled())),
    ]
    for encrypt in (False, True):
        with session(unit) as esp:
            cmds.write_flash(esp, parts, encrypt=encrypt or None, force=True)
            read = cmds.read_flash(esp, 0x8000, 64)
            assert (read == make.OTA_TABLE[:64]) is not encrypt
            esp._port.baudrate = 115200
            esp.hard_reset()
            esp._port.timeout = 1
            said = esp._port.read_until(b"region: filled" if encrypt else b"invalid header")
            assert (b"region: filled" in said) is encrypt


def test_images_are_preloaded_from_files_and_nothing_is_left_on_disk(
    tmp_path: Path, units: Path
) -> None:
    """The golden image is there at birth; flash lives in memory only."""
    golden = tmp_path / "golden+1.bin"
    golden.write_bytes(NOISE)
    unit = url("esp32c3", f"image={golden}@0x10000", f"image={golden}@0x20000")
    manage.start(unit)
    assert manage.peek(unit, 0x10000, len(NOISE)) == manage.peek(unit, 0x20000, len(NOISE)) == NOISE
    marker = os.urandom(4096)
    with session(unit) as esp:
        cmds.write_flash(esp, [(0x10000, marker)])
    kept = b"".join(path.read_bytes() for path in units.iterdir())
    assert marker[:16] not in kept
