"""What a simulated unit says when it starts, and which token it would use."""

import io

import pytest
from esp_idf_nvs_partition_gen import nvs_partition_gen as nvs

from eol_inject.sim import boot
from eol_inject.sim.board import Board
from eol_inject.sim.models import MODELS
from tests.support import sim_images as make

C3 = 5


def _board(_chip: str = "esp32c3", /, **parts: bytes) -> Board:
    """A board with bytes at addresses, ``x10000=b"…"``."""
    board = Board(MODELS[_chip], bytes(6), 4 * 1024 * 1024)
    for address, data in parts.items():
        board.flash.load(int(address[1:], 16), data)
    return board


def _app(content: bytes = make.BLANK, **parts: bytes) -> Board:
    """An ESP32-C3 with bootloader, table and one application."""
    start = {"x0": make.esp32_image(C3), "x8000": make.OTA_TABLE}
    return _board(**{**start, "x10000": make.esp32_image(C3, content), **parts})


def _says(board: Board, *, leak: bool = False) -> str:
    return boot.boot(board, reason="0x1 (POWERON)", leak=leak).rest


def test_a_blank_region_starts_without_a_token() -> None:
    """The golden image as it is."""
    said = _says(_app())
    assert "Loaded app from partition at offset 0x10000" in said
    assert "[fixture] region: blank" in said
    assert "INFO: token from none" in said
    assert "token-id" not in said


def test_a_filled_region_gives_the_token_and_does_not_show_it() -> None:
    """Eight digits of its hash identify it; the token appears only where a test asks for it."""
    said = _says(_app(make.filled()))
    assert "region: filled" in said
    assert "token from region" in said
    assert make.TOKEN.decode() not in said
    assert make.TOKEN.decode() in _says(_app(make.filled()), leak=True)


def test_an_image_without_a_region_says_so() -> None:
    """Another product's firmware."""
    assert "region: absent" in _says(_app(b"other product"))


def _nvs(**keys: bytes | str) -> bytes:
    class Kept(io.BytesIO):
        def close(self) -> None:
            """The generator closes; the bytes are still wanted."""

    kept = Kept()
    partition = nvs.nvs_open(kept, 0x5000 - 0x1000, nvs.Page.VERSION2)
    nvs.write_entry(partition, "blynk", "namespace", "", "")
    for key, value in keys.items():
        if isinstance(value, bytes):
            nvs.write_entry(partition, key, "data", "hex2bin", value.hex())
        else:
            nvs.write_entry(partition, key, "data", "string", value)
    nvs.nvs_close(partition)
    return kept.getvalue()


def test_stale_nvs_wins_over_the_region() -> None:
    """Line-failures 7: the firmware uses the old token, whatever the region says."""
    old = b"old_old_old_old_old_old_old_old_"
    said = _says(_app(make.filled(), x9000=_nvs(config=make.config_blob(old))), leak=True)
    assert "token from nvs" in said
    assert old.decode() in said


def test_an_invalid_configuration_in_nvs_does_not_win() -> None:
    """Only bit 0 of the flags makes it count."""
    stale = _nvs(config=make.config_blob(make.TOKEN, valid=False))
    assert "token from region" in _says(_app(make.filled(), x9000=stale))


def test_the_newer_edgent_keeps_its_token_in_a_string() -> None:
    """Namespace ``blynk``, key ``auth``."""
    assert "token from nvs" in _says(_app(x9000=_nvs(auth=make.TOKEN.decode())))


# -- seals ---------------------------------------------------------------------------------


def _patched(image: bytes, at: int) -> bytes:
    return image[:at] + bytes((image[at] ^ 0x40,)) + image[at + 1 :]


def test_an_unsealed_patch_does_not_boot() -> None:
    """The message of a real second-stage bootloader, and the sum both ways."""
    image = make.esp32_image(C3, make.BLANK)
    said = _says(_app(x10000=_patched(image, 60)))
    assert f"Checksum failed. Calculated 0x{image[-33] ^ 0x40:x} read 0x{image[-33]:x}" in said
    assert "No bootable app partitions" in said


def test_a_repaired_sum_without_the_hash_does_not_boot() -> None:
    """Both seals are judged."""
    image = _patched(_patched(make.esp32_image(C3, make.BLANK), 60), 64)  # the sum agrees again
    assert "Image hash failed" in _says(_app(x10000=image))


def test_an_image_without_a_hash_boots_by_its_sum() -> None:
    """Byte 23 says whether there is one."""
    assert "Loaded app" in _says(_app(x10000=make.esp32_image(C3, make.BLANK, hashed=False)))


def test_another_chips_image_is_refused() -> None:
    """The chip id of the extended header."""
    assert "mismatch chip ID, expected 5, found 9" in _says(_app(x10000=make.esp32_image(9)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"x0": b"\xff" * 8}, "invalid header: 0xffffffff"),
        ({"x8000": b"\xff" * 32}, "partition 0 invalid magic number 0xffff"),
        ({"x8000": _patched(make.OTA_TABLE, 20)}, "incorrect MD5 in partition table"),
        ({"x10000": b"\xff" * 32}, "invalid magic byte (nothing flashed here?)"),
    ],
)
def test_what_is_missing_is_named(parts: dict[str, bytes], message: str) -> None:
    """Each stage of the start has its message, and the chip starts over."""
    console = boot.boot(_app(**parts), reason="0x1 (POWERON)")
    assert message in console.rest
    assert not console.runs


# -- which slot ----------------------------------------------------------------------------


def _two_slots(**parts: bytes) -> Board:
    return _app(x20000=make.esp32_image(C3, make.filled()), **parts)


def test_without_otadata_the_first_slot_starts() -> None:
    """Erased otadata: ota_0."""
    assert "region: blank" in _says(_two_slots())


def test_otadata_chooses_the_slot() -> None:
    """The higher valid sequence number wins, from either sector."""
    assert "region: filled" in _says(_two_slots(xE000=make.otadata(2)))
    assert "region: filled" in _says(_two_slots(xE000=make.otadata(1), xF000=make.otadata(2)))
    assert "region: blank" in _says(_two_slots(xE000=make.otadata(2), xF000=make.otadata(3)))


def test_an_aborted_or_broken_choice_does_not_count() -> None:
    """State ABORTED, and a CRC that does not match."""
    assert "region: blank" in _says(_two_slots(xE000=make.otadata(2, state=4)))
    assert "region: blank" in _says(_two_slots(xE000=_patched(make.otadata(2), 1)))


def test_a_broken_slot_falls_back_to_the_other() -> None:
    """The bootloader tries what else there is, as the real one does."""
    said = _says(_two_slots(x10000=b"\xff" * 32))
    assert "invalid magic byte" in said
    assert "Loaded app from partition at offset 0x20000" in said


# -- ESP8266 -------------------------------------------------------------------------------


def test_esp8266_starts_a_version_2_image() -> None:
    """Behind a boot image; the region lies in the mapped part."""
    image = make.esp8266_v2(make.filled())
    said = _says(_board("esp8266", x0=make.esp8266_v1(), x1000=image))
    assert "region: filled" in said


def test_esp8266_refuses_a_broken_crc() -> None:
    """The sum covers no mapped data: only the CRC-32 sees a patch there."""
    image = _patched(make.esp8266_v2(make.filled()), 100)
    assert "CRC failed" in _says(_board("esp8266", x0=make.esp8266_v1(), x1000=image))


def test_esp8266_starts_a_version_1_image_at_0() -> None:
    """Without a boot image; ``blnkopt`` may be in its segments."""
    assert "region: filled" in _says(_board("esp8266", x0=make.esp8266_v1(make.filled())))


def test_esp8266_finds_stale_configuration_in_its_eeprom_sector() -> None:
    """The last but four 4 KiB sector."""
    parts = {"x0": make.esp8266_v1(make.filled()), "x3FB000": make.config_blob(b"E" * 32)}
    assert "token from nvs" in _says(_board("esp8266", **parts))


def test_esp8266_without_an_image_says_little() -> None:
    """Its ROM is short of words."""
    assert not boot.boot(_board("esp8266"), reason="").runs
