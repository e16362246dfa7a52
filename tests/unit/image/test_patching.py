"""A golden image and the units' copies: only the plan changes, and the product is proved."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.chips import SECTOR
from eol_inject.errors import UsageError
from eol_inject.image import Golden, locate, open_image, patch, plan
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
TOKENS = st.text(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", min_size=32, max_size=32
).map(AuthToken)


@pytest.mark.parametrize("chip", firmware.APPS)
@given(auth=TOKENS)
def test_only_region_and_seal_change(chip: str, auth: AuthToken) -> None:
    """Not one byte outside the region, the checksum byte and the digest."""
    golden = firmware.app(chip)
    image = open_image(golden)
    region = locate(image, SPEC)
    patched = patch(golden, [SPEC], auth, {}).data
    allowed = {
        *range(region.offset, region.offset + region.size),
        *range(image.checksum_at, image.end),
    }
    assert len(patched) == len(golden)
    assert {at for at in range(len(golden)) if golden[at] != patched[at]} <= allowed
    assert firmware.esptool_calls_valid(chip, patched)


@pytest.mark.parametrize("chip", firmware.every_chip())
def test_every_chip_esptool_knows_can_be_patched(chip: str) -> None:
    """True containers with the region deep in the constants, several segments."""
    golden = firmware.make_app(
        chip, b"c" * 9001 + firmware.blnkinf() + firmware.blnkopt() + b"c" * 50
    )
    patched = patch(golden, [SPEC], AuthToken("t" * 32), {}, expect_type="TMPLsample01").data
    assert firmware.esptool_calls_valid(chip, patched)
    changed = {at // SECTOR * SECTOR for at in range(len(golden)) if golden[at] != patched[at]}
    assert plan(golden, patched, 0).addresses == tuple(sorted(changed))


@pytest.mark.parametrize("chip", firmware.APPS)
def test_esptools_own_command_calls_a_patched_image_valid(chip: str, tmp_path: Path) -> None:
    """``esptool image-info`` as a user runs it; its exit code alone says nothing."""
    made = tmp_path / "patched.bin"
    made.write_bytes(patch(firmware.app(chip), [SPEC], AuthToken("t" * 32), {}).data)
    told = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", chip, "image-info", str(made)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout
    assert told.count("(valid)") == (1 if chip == "esp8266" else 2)
    assert "invalid" not in told


def test_a_judged_golden_image_serves_many_units() -> None:
    """Patched through one ``Golden`` or alone, a unit's image is the same; units differ."""
    data = firmware.app("esp32c3")
    golden = Golden(data, [SPEC], chip="esp32c3")
    tokens = [AuthToken(f"{n:032}") for n in range(20)]
    many = [golden.patch(token, {}) for token in tokens]
    assert [m.data for m in many] == [patch(data, [SPEC], token, {}).data for token in tokens]
    assert len({m.data for m in many}) == len(tokens)
    for one in many:
        assert golden.plan(one, 0x10000) == plan(data, one.data, 0x10000)
    assert golden.data == firmware.app("esp32c3")


def test_the_product_is_proved_by_blnkinf() -> None:
    """Another product's firmware, another version, or none at all, is refused by name."""
    data = firmware.app("esp32")
    nameless = firmware.make_app("esp32", firmware.blnkopt())
    torn = firmware.make_app(
        "esp32", firmware.blnkinf("A") + firmware.blnkinf("B") + firmware.blnkopt()
    )
    auth = AuthToken("x" * 32)
    patch(data, [SPEC], auth, {}, expect_type="TMPLsample01", expect_version="1.0.0")
    for image, wanted, code in [
        (data, {"expect_type": "TMPLother"}, "image.wrong_product"),
        (data, {"expect_version": "1.0.1"}, "image.wrong_version"),
        (nameless, {"expect_type": "TMPLsample01"}, "image.no_identity"),
        (torn, {"expect_type": "A"}, "image.no_identity"),
    ]:
        with pytest.raises(UsageError) as caught:
            patch(image, [SPEC], auth, {}, **wanted)
        assert caught.value.code == code


def test_neither_patched_nor_plan_shows_the_token() -> None:
    """Their repr goes into logs and tracebacks."""
    auth = AuthToken("secretsecretsecretsecretsecret12")
    patched = patch(firmware.app("esp32"), [SPEC], auth, {})
    shown = repr(patched) + repr(plan(firmware.app("esp32"), patched.data, 0x10000))
    assert auth.reveal() not in shown
    assert "secret" not in shown


def test_golden_images_stay_what_they_are() -> None:
    """``bytes`` in, other ``bytes`` out; nothing is kept of the token."""
    auth = AuthToken("q" * 32)
    golden = Golden(firmware.app("esp32"), [SPEC])
    golden.patch(auth, {})
    assert auth.reveal().encode() not in golden.data
    with pytest.raises(TypeError):
        pickle.dumps(auth)
