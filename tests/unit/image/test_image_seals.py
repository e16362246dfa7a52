"""Checksum, SHA-256 and CRC-32: checked, repaired, and never repaired where they must not be."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import check_seal, open_image, patch, plan
from eol_inject.image.seals import Change, Sealer, fold
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

AUTH = AuthToken("x" * 32)


@given(st.binary(max_size=300))
def test_folding_is_the_xor_of_every_byte(data: bytes) -> None:
    """The fast way and the plain way agree at every length."""
    plain = 0
    for byte in data:
        plain ^= byte
    assert fold(data) == plain


@pytest.mark.parametrize("chip", firmware.APPS)
def test_every_shipped_image_is_sealed(chip: str) -> None:
    """And says which digest it has."""
    seal = check_seal(open_image(firmware.app(chip)))
    assert seal.valid
    assert seal.digest == ("CRC-32" if chip == "esp8266" else "SHA-256")


@pytest.mark.parametrize("chip", firmware.APPS)
def test_any_flipped_bit_of_the_content_breaks_it(chip: str) -> None:
    """Header, segment data, checksum, digest: each is covered by something."""
    data = firmware.app(chip)
    image = open_image(data)
    places = [
        4,
        *(s.offset + s.size // 2 for s in image.segments),
        image.checksum_at,
        image.end - 1,
    ]
    for at in places:
        broken = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        assert not check_seal(open_image(broken)).valid, at


@pytest.mark.parametrize("chip", firmware.every_chip())
@pytest.mark.parametrize("digest", [True, False])
@settings(max_examples=25)
@given(data=st.data())
def test_repair_after_changes_anywhere_satisfies_esptool(
    chip: str, digest: bool, data: st.DataObject
) -> None:
    """Random places and lengths, several at once, every chip, with and without a hash."""
    golden = _app(chip, digest)
    image = open_image(golden)
    changes = []
    for segment in data.draw(st.lists(st.sampled_from(image.segments), min_size=1, unique=True)):
        at = segment.offset + data.draw(st.integers(0, segment.size - 1))
        size = data.draw(st.integers(1, min(400, segment.end - at)))
        changes.append(Change(at, hashlib.shake_128(bytes([size % 256])).digest(size)))
    made = Sealer(image, min(change.offset for change in changes)).apply(changes)
    assert len(made) == len(golden)
    assert all(made[c.offset : c.offset + len(c.new)] == c.new for c in changes)
    assert firmware.esptool_calls_valid(chip, made)
    assert check_seal(open_image(made)).valid
    sectors = range(0, len(golden), SECTOR)
    differing = [at for at in sectors if golden[at : at + SECTOR] != made[at : at + SECTOR]]
    assert list(plan(golden, made, 0).addresses) == differing


_cache: dict[tuple[str, bool], bytes] = {}


def _app(chip: str, digest: bool) -> bytes:
    key = (chip, digest)
    if key not in _cache:
        _cache[key] = firmware.make_app(chip, b"constants" * 500, append_digest=digest)
    return _cache[key]


@pytest.mark.parametrize(("chip", "what"), [("esp32", "checksum"), ("esp8266", "CRC-32")])
def test_a_damaged_golden_image_is_not_sealed_into_a_valid_one(chip: str, what: str) -> None:
    """Repairing would hide the damage for good, in every unit."""
    data = bytearray(firmware.app(chip))
    data[open_image(bytes(data)).segments[0].end - 3] ^= 1
    with pytest.raises(UsageError) as caught:
        patch(bytes(data), [BlnkoptSpec(kind="blnkopt")], AUTH, {})
    assert (caught.value.code, caught.value.params["what"]) == ("image.bad_seal", what)


def test_a_wrong_hash_alone_is_damage_too() -> None:
    """The checksum is one byte: the hash finds what it misses."""
    data = bytearray(firmware.app("esp32c3"))
    first = open_image(bytes(data)).segments[0].offset
    data[first + 300] ^= 1
    data[first + 301] ^= 1
    with pytest.raises(UsageError) as caught:
        patch(bytes(data), [BlnkoptSpec(kind="blnkopt")], AUTH, {})
    assert caught.value.params["what"] == "SHA-256"
