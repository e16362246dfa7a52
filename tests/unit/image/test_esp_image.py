"""Application images are read from their segments, and whatever else is refused in plain words."""

import struct

import pytest

from eol_inject.errors import UsageError
from eol_inject.image import open_image
from eol_inject.image.containers.esp import Format
from tests.support import firmware


def refused(data: bytes, *, chip: str | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        open_image(data, chip=chip)
    return caught.value


@pytest.mark.parametrize("chip", firmware.every_chip())
@pytest.mark.parametrize("digest", [True, False])
def test_segments_and_seal_are_where_esptool_has_them(chip: str, digest: bool) -> None:
    """For every chip esptool knows: same segments, same checksum byte, same digest place."""
    from esptool.bin_image import LoadFirmwareImage

    data = firmware.make_app(chip, b"constants" * 99, append_digest=digest)
    loaded, image = LoadFirmwareImage(chip, data), open_image(data)
    assert [(s.offset, s.size, s.load_address) for s in image.segments] == [
        (s.file_offs + 8, len(s.data), s.addr) for s in loaded.segments
    ]
    assert image.entry == loaded.entrypoint
    assert data[image.checksum_at] == loaded.checksum
    if chip == "esp8266":
        assert image.end == len(data)
    elif digest:
        assert image.digest_at == loaded.data_length
    else:
        assert (image.digest_at, image.end) == (None, len(data))


@pytest.mark.parametrize("chip", firmware.APPS)
def test_what_follows_an_image_does_not_move_its_end(chip: str) -> None:
    """Positions come from the segments: padding behind the image changes none of them."""
    data = firmware.app(chip)
    bare, padded = open_image(data), open_image(data + b"\xff" * 5000)
    assert (padded.checksum_at, padded.digest_at, padded.end) == (
        bare.checksum_at,
        bare.digest_at,
        len(data),
    )


def test_each_esp8266_form_is_told_from_the_esp32_family() -> None:
    """ "v1" has segments where the others have the extended header; "v2" has its own magic."""
    boot = (firmware.FOLDER / "esp8266_boot.bin").read_bytes()
    assert open_image(boot).format is Format.ESP8266_V1
    assert open_image(firmware.app("esp8266")).format is Format.ESP8266_V2
    assert open_image(firmware.app("esp32")).format is Format.ESP32
    assert {open_image(d).chip for d in (boot, firmware.app("esp8266"))} == {"esp8266"}


def test_the_profiles_chip_is_compared_with_the_images() -> None:
    """An ESP32 image never reaches an ESP32-C3, nor an ESP8266."""
    for wanted in ("esp32c3", "esp8266"):
        error = refused(firmware.app("esp32"), chip=wanted)
        assert error.code == "image.wrong_chip"
        assert "ESP32" in str(error)
    assert open_image(firmware.app("esp32"), chip="esp32").chip == "esp32"


def test_a_chip_without_a_row_is_named_by_its_id() -> None:
    """esptool knows more chips than we have rows for; their images can still be inspected."""
    data = bytearray(firmware.make_app("esp32c3", b"constants"))
    data[12:14] = (999).to_bytes(2, "little")
    image = open_image(bytes(data))
    assert (image.chip, image.chip_words) == (None, "a chip with id 999")


def test_an_elf_is_refused_with_the_way_out() -> None:
    """The commonest wrong file has its own hint."""
    error = refused(b"\x7fELF" + bytes(100))
    assert error.code == "image.is_elf"
    assert "elf2image" in error.hint


@pytest.mark.parametrize("data", [b"", b"\xff" * 4096, b"PK\x03\x04", b"\x00"])
def test_other_files_are_refused_by_their_start(data: bytes) -> None:
    """Empty, erased, zipped: each says what it starts with."""
    assert refused(data).code == "image.not_an_image"


def test_a_hex_file_is_recognised() -> None:
    """An Espressif chip takes no Intel HEX; the hint names what it takes."""
    error = refused(b":0100000055AA\n:00000001FF\n", chip="esp32")
    assert error.code == "image.is_hex"
    assert ".bin" in error.hint


@pytest.mark.parametrize("chip", firmware.APPS)
def test_every_cut_of_an_image_is_refused(chip: str) -> None:
    """No prefix of an image is an image."""
    data = firmware.app(chip)
    codes = {refused(data[:size]).code for size in [*range(1, 600), len(data) - 1, len(data) // 2]}
    assert codes <= {"image.truncated", "image.segment_outside"}


def test_absurd_headers_are_refused() -> None:
    """No segments, too many, one of odd length, one past the end, a strange SHA-256 mark."""
    good = firmware.app("esp32")

    def with_bytes(at: int, new: bytes) -> bytes:
        return good[:at] + new + good[at + len(new) :]

    assert refused(with_bytes(1, b"\x00")).code == "image.bad_header"
    assert refused(with_bytes(1, b"\x11")).code == "image.bad_header"
    assert refused(with_bytes(1, b"\xff")).code == "image.bad_header"
    assert refused(with_bytes(23, b"\x02")).code == "image.bad_header"
    assert refused(with_bytes(28, struct.pack("<I", 0x7FFFFFFF))).code == "image.segment_outside"
    assert refused(with_bytes(28, struct.pack("<I", 101))).code == "image.bad_header"
