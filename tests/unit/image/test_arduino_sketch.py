"""The ESP8266 file that the Arduino build makes, which is what classic Edgent is shipped as."""

import pytest

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import Golden, describe, open_image, patch
from eol_inject.image.containers import sketch
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
AUTH = AuthToken("s" * 32)
CONSTANTS = firmware.script().filler(6000, 77) + firmware.blnkinf() + firmware.blnkopt()
GOLDEN = firmware.sketch(CONSTANTS)


def test_the_files_crc_is_the_cores_own() -> None:
    """Computed bit by bit as elf2bin does, and by zlib on turned bytes: the same."""
    assert sketch.crc_valid(GOLDEN) is True
    assert sketch.crc_valid(GOLDEN[:5000] + b"!" + GOLDEN[5001:]) is False
    assert sketch.crc_valid(firmware.sketch(CONSTANTS, crc=False)) is None


def test_it_is_told_as_what_it_is() -> None:
    """Boot loader, application at 0x1000, its region."""
    told = describe(GOLDEN)
    assert told.kind == "sketch"
    assert "application at 0x1000" in told.words
    assert [(i.role, i.offset, i.seal is not None and i.seal.valid) for i in told.images] == [
        ("boot loader", 0, True),
        ("application", 0x1000, True),
    ]
    assert told.images[1].regions[0].size == 306
    assert open_image(GOLDEN, chip="esp8266").start == 0x1000


@pytest.mark.parametrize("crc", [True, False])
def test_a_patch_repairs_checksum_and_crc(crc: bool) -> None:
    """Both where both are; a file without a CRC gets none."""
    golden = firmware.sketch(CONSTANTS, crc=crc)
    patched = patch(golden, [SPEC], AUTH, {}, chip="esp8266").data
    assert firmware.esptool_calls_valid("esp8266", patched[0x1000:])
    assert sketch.crc_valid(patched) is (True if crc else None)
    assert len(patched) == len(golden)
    assert AUTH.reveal().encode() in patched


def test_the_plan_has_the_crcs_sector_too() -> None:
    """The CRC stands in the boot loader's sector."""
    golden = Golden(GOLDEN, [SPEC], chip="esp8266")
    patched = golden.patch(AUTH, {})
    changed = {at // SECTOR * SECTOR for at in range(len(GOLDEN)) if GOLDEN[at] != patched.data[at]}
    assert 0 in changed
    assert golden.plan(patched, 0).addresses == tuple(sorted(changed))


def test_a_damaged_file_is_refused() -> None:
    """Two flips that cancel in the checksum: the CRC finds them."""
    data = bytearray(GOLDEN)
    data[0x1100] ^= 1
    data[0x1101] ^= 1
    with pytest.raises(UsageError) as caught:
        patch(bytes(data), [SPEC], AUTH, {})
    assert (caught.value.code, caught.value.params["what"]) == (
        "image.bad_seal",
        "CRC of the whole file",
    )
    assert "CRC" in describe(bytes(data)).notes[0]


def test_other_files_are_not_taken_for_sketches() -> None:
    """The SDK's boot image with something else behind it; another chip's image."""
    boot = (firmware.FOLDER / "esp8266_boot.bin").read_bytes()
    assert describe(boot.ljust(0x1000, b"\xff") + firmware.app("esp8266")).kind == "application"
    with pytest.raises(UsageError) as caught:
        open_image(GOLDEN, chip="esp32")
    assert caught.value.code == "image.wrong_chip"
