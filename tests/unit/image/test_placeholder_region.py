"""The ``placeholder`` region: one marked run, replaced at its own length."""

import pytest
from pydantic import ValidationError

from eol_inject.errors import UsageError
from eol_inject.image import Golden, locate, open_image, patch
from eol_inject.image.spec import BlnkoptSpec, PlaceholderSpec
from eol_inject.unit import AuthToken, Secret
from tests.support import firmware

AUTH = AuthToken("p" * 32)
MARK = b"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
TOKEN = PlaceholderSpec(kind="placeholder", name="token", text=MARK.decode())


def image(constants: bytes) -> bytes:
    return firmware.make_app("esp32s3", b"first\0" + constants + b"\0last\0")


@pytest.mark.parametrize(("fill", "byte"), [("nul", b"\0"), ("space", b" ")])
def test_the_run_is_filled_at_its_length(fill: str, byte: bytes) -> None:
    """A shorter value is followed by NUL or space; the image stays valid."""
    spec = TOKEN.model_copy(update={"fill": fill})
    golden = image(MARK)
    patched = patch(golden, [spec], AUTH, {})
    (region,) = patched.regions
    assert region.size == len(MARK)
    held = patched.data[region.offset : region.offset + region.size]
    assert held == AUTH.reveal().encode() + byte * 8
    assert patched.data[region.offset + region.size :][:6] == b"\0last\0"
    assert firmware.esptool_calls_valid("esp32s3", patched.data)


def test_a_pattern_marks_runs_of_any_length() -> None:
    """Here forty or more X."""
    spec = PlaceholderSpec(kind="placeholder", pattern="X{40,}")
    assert locate(open_image(image(MARK + b"XX")), spec).size == 42


def test_exactly_one_run_has_to_match() -> None:
    """None, or two, and nobody could say which one the firmware reads."""
    for constants, code in [
        (b"none", "image.region_missing"),
        (MARK + b"\0" + MARK, "image.region_twice"),
    ]:
        with pytest.raises(UsageError) as caught:
            locate(open_image(image(constants)), TOKEN)
        assert caught.value.code == code


def test_a_patched_image_is_refused() -> None:
    """Its mark is gone."""
    with pytest.raises(UsageError) as caught:
        patch(patch(image(MARK), [TOKEN], AUTH, {}).data, [TOKEN], AUTH, {})
    assert caught.value.code == "image.region_missing"


def test_values_too_long_or_with_nul_are_refused() -> None:
    """The run is never enlarged, and a C string cannot hold a NUL."""
    spec = PlaceholderSpec(kind="placeholder", text=MARK.decode(), value="{auth}{more}")
    for more, code in [("123456789", "image.region_full"), ("\0", "image.bad_value")]:
        with pytest.raises(UsageError) as caught:
            patch(image(MARK), [spec], AUTH, {"more": Secret(more)})
        assert caught.value.code == code


def test_several_regions_are_filled_in_one_patch() -> None:
    """Token in blnkopt, serial number and WiFi password in runs of their own; one seal."""
    serial = PlaceholderSpec(kind="placeholder", name="serial", text="#SERIAL#######", value="{sn}")
    wifi = PlaceholderSpec(kind="placeholder", name="wifi", text="#WIFI#########", value="{pw}")
    golden = image(b"#WIFI#########\0#SERIAL#######\0" + firmware.blnkopt())
    specs = [BlnkoptSpec(kind="blnkopt"), serial, wifi]
    patched = patch(golden, specs, AUTH, {"sn": "SN-0001", "pw": Secret("hunter2")})
    assert firmware.esptool_calls_valid("esp32s3", patched.data)
    assert b"hunter2\0\0\0\0\0\0\0\0SN-0001\0" in patched.data
    changed = {at for at in range(len(golden)) if golden[at] != patched.data[at]}
    image_ = open_image(golden)
    allowed = {*range(image_.checksum_at, image_.end)}
    for region in patched.regions:
        allowed |= set(range(region.offset, region.offset + region.size))
    assert changed <= allowed


def test_exactly_one_region_carries_the_token() -> None:
    """None is no injection; two could disagree."""
    plain = PlaceholderSpec(kind="placeholder", text=MARK.decode(), value="serial")
    golden = image(MARK + firmware.blnkopt())
    for specs, count in [([plain], 0), ([TOKEN, BlnkoptSpec(kind="blnkopt")], 2)]:
        with pytest.raises(UsageError) as caught:
            Golden(golden, specs)
        assert (caught.value.code, caught.value.params["count"]) == ("image.auth_places", count)


def test_overlapping_regions_are_refused() -> None:
    """A mark inside the other region's placeholder would be written twice."""
    inside = PlaceholderSpec(kind="placeholder", pattern="(Placeholder){6,}", value="x")
    with pytest.raises(UsageError) as caught:
        Golden(image(firmware.blnkopt()), [BlnkoptSpec(kind="blnkopt"), inside])
    assert caught.value.code == "image.places_overlap"


@pytest.mark.parametrize(
    "table",
    [{}, {"text": "abcd", "pattern": "x"}, {"pattern": "x*"}, {"pattern": "("}, {"text": "ab"}],
)
def test_a_profile_that_marks_nothing_or_everything_is_refused(table: dict[str, str]) -> None:
    """Text or pattern, and one that cannot match nothing."""
    with pytest.raises(ValidationError):
        PlaceholderSpec(kind="placeholder", **table)
