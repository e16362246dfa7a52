"""Signed images are recognised and refused; padding never looks like a signature."""

import random
from pathlib import Path

import pytest

from eol_inject.errors import UsageError
from eol_inject.image import describe, open_image, patch, signatures
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
AUTH = AuthToken("x" * 32)


def signed(tmp_path: Path, version: str, scheme: str | None, golden: bytes) -> bytes:
    """``golden`` signed by espsecure with a fresh key."""
    import espsecure

    key, plain, out = (tmp_path / name for name in ("key.pem", "plain.bin", "signed.bin"))
    espsecure.generate_signing_key(version, scheme, str(key))
    plain.write_bytes(golden)
    with key.open("rb") as keyfile, plain.open("rb") as datafile:
        espsecure.sign_data(version, [keyfile], str(out), False, False, None, [], [], datafile)
    return out.read_bytes()


@pytest.mark.parametrize(
    ("version", "scheme", "name"),
    [
        ("1", None, "secure boot v1"),
        ("2", "ecdsa256", "secure boot v2"),
        ("2", "rsa3072", "secure boot v2"),
    ],
)
def test_what_espsecure_signs_is_recognised_and_refused(
    tmp_path: Path, version: str, scheme: str | None, name: str
) -> None:
    """The signature covers the whole image: a token inside it would make a dead unit."""
    data = signed(tmp_path, version, scheme, firmware.app("esp32"))
    found = signatures.find(open_image(data))
    assert found is not None
    assert found.scheme == name
    assert describe(data).images[0].seal.signed == name
    with pytest.raises(UsageError) as caught:
        patch(data, [SPEC], AUTH, {})
    assert caught.value.code == "image.signed"
    assert "nvs" in caught.value.hint


@pytest.mark.parametrize("fill", [b"\xff", b"\x00", b"\x00\xff"])
@pytest.mark.parametrize("size", [3, 68, 4096, 70000])
def test_padding_is_no_signature(fill: bytes, size: int) -> None:
    """Images padded to a sector, a page or a partition stay patchable."""
    data = firmware.app("esp32") + (fill * size)[:size]
    assert signatures.find(open_image(data)) is None
    patched = patch(data, [SPEC], AUTH, {}).data
    assert patched[len(firmware.app("esp32")) :] == (fill * size)[:size]


def test_foreign_data_behind_an_image_is_no_signature() -> None:
    """A file system or random bytes behind an image: no magic, no version word."""
    for seed in range(50):
        tail = random.Random(seed).randbytes(9000)
        assert signatures.find(open_image(firmware.app("esp32c3") + tail)) is None


def test_a_v2_block_counts_only_with_its_crc(tmp_path: Path) -> None:
    """Magic and version alone may be chance."""
    data = bytearray(signed(tmp_path, "2", "ecdsa256", firmware.app("esp32")))
    block = signatures.find(open_image(bytes(data)))
    assert block is not None
    data[block.offset + 100] ^= 1
    assert signatures.find(open_image(bytes(data))) is None
