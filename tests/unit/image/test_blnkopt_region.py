"""The ``blnkopt`` region: found exactly once, rewritten at its full size, from the golden image."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eol_inject.errors import UsageError
from eol_inject.image import encode, locate, open_image, patch
from eol_inject.image.spec import BlnkoptSpec
from eol_inject.unit import AuthToken, Secret
from tests.support import firmware

SPEC = BlnkoptSpec(kind="blnkopt")
AUTH = AuthToken("-_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123")
STOCK = 306


def image(rodata: bytes, ram: bytes = b"") -> bytes:
    return firmware.make_app("esp32", rodata, ram=ram)


def code(rodata: bytes, ram: bytes = b"") -> str:
    with pytest.raises(UsageError) as caught:
        locate(open_image(image(rodata, ram)), SPEC)
    return caught.value.code


def spec(**values: str) -> BlnkoptSpec:
    return BlnkoptSpec(kind="blnkopt", values={"ssid": "", "auth": "{auth}", **values})


def test_the_stock_constant_has_306_bytes() -> None:
    """Tag, four keys' worth of placeholder, host, port, and the two NULs of its end."""
    data = firmware.app("esp32c3")
    region = locate(open_image(data), SPEC)
    assert region.size == STOCK
    assert data[region.offset : region.offset + STOCK] == firmware.blnkopt()


@pytest.mark.parametrize("length", [1, 60, 66, 264, 265, 3000])
def test_placeholders_of_any_length_are_found_and_kept(length: int) -> None:
    """The size is read from the constant itself, never assumed."""
    golden = image(b"before" + firmware.blnkopt("x" * length) + b"behind")
    assert locate(open_image(golden), SPEC).size == STOCK - 264 + length


def test_the_firmware_sees_the_whole_array_and_nothing_behind_it() -> None:
    """What stands right behind the region stays, byte for byte."""
    golden = image(b"before" + firmware.blnkopt() + b"behind")
    region = locate(open_image(golden), SPEC)
    patched = patch(golden, [SPEC], AUTH, {}).data
    end = region.offset + region.size
    assert patched[end : end + 6] == b"behind"
    assert patched[region.offset - 6 : region.offset] == b"before"


def test_a_missing_region_is_an_error() -> None:
    """Firmware without the constant, or with the tag's letters only."""
    assert code(b"nothing here") == "image.region_missing"
    assert code(b"blnkopt without its NUL") == "image.region_missing"


def test_two_regions_are_an_error() -> None:
    """In one segment or in two: nobody could say which one the firmware reads."""
    assert code(firmware.blnkopt() * 2) == "image.region_twice"
    assert code(firmware.blnkopt(), firmware.blnkopt()) == "image.region_twice"


def test_a_tag_outside_the_segments_does_not_count() -> None:
    """A signature or padding behind the image never reaches the firmware."""
    golden = image(firmware.blnkopt()) + firmware.blnkopt()
    assert locate(open_image(golden), SPEC).size == STOCK


@pytest.mark.parametrize(
    "constant",
    [
        b"blnkopt\0\x01\x02\x03",
        b"blnkopt\0ssid\0value\0two words\0",
        b"blnkopt\0ssid\0value\0\xff",
        b"blnkopt\0" + b"k" * 40 + b"\0v\0\0\0",
    ],
)
def test_an_unreadable_region_is_an_error(constant: bytes) -> None:
    """The tag alone proves nothing: key, value and end have to be there."""
    assert code(constant + b"\xee" * 40) == "image.region_torn"


def test_a_filled_region_is_no_golden_image() -> None:
    """A patched image is refused, so a token can never be written over another one."""
    golden = firmware.app("esp8266")
    with pytest.raises(UsageError) as caught:
        patch(patch(golden, [SPEC], AUTH, {}).data, [SPEC], AUTH, {})
    assert caught.value.code == "image.not_golden"
    assert AUTH.reveal() not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "value", ["", "Placeholder" * 6, ("Placeholder" * 3)[:32], "Placeholder_64"]
)
def test_a_reserved_auth_key_with_a_placeholder_is_golden(value: str) -> None:
    """Some products reserve the key itself; only a real value means that it is filled."""
    constant = b"blnkopt\0ssid\0\0auth\0" + value.encode() + b"\0\0\0"
    assert locate(open_image(image(constant)), SPEC).size == len(constant)


@pytest.mark.parametrize("value", ["x", "Placeholder-AbCdEfGhIjKlMnOpQrSt", "x" * 32, "\u00e9"])
def test_any_other_auth_value_is_no_golden_image(value: str) -> None:
    """A token may begin like the placeholder; a broken value is not ours to write over."""
    constant = b"blnkopt\0ssid\0\0auth\0" + value.encode() + b"\0\0\0"
    assert code(constant) == "image.not_golden"


def test_the_encoding_is_the_firmwares_own() -> None:
    """Tag, pairs in the profile's order, the rest NUL, at exactly the region's size."""
    data = encode(SPEC, STOCK, AUTH, {})
    pairs = [
        b"ssid",
        b"",
        b"auth",
        AUTH.reveal().encode(),
        b"host",
        b"blynk.cloud",
        b"port",
        b"443",
    ]
    expected = b"\0".join([b"blnkopt", *pairs])
    assert data == expected.ljust(STOCK, b"\0")


def test_values_that_do_not_fit_are_refused_with_the_numbers() -> None:
    """A region is never enlarged, and never cut."""
    room = len(encode(SPEC, STOCK, AUTH, {}).rstrip(b"\0")) + 1 - 8
    assert len(encode(SPEC, room + 10, AUTH, {})) == room + 10
    with pytest.raises(UsageError) as caught:
        encode(SPEC, room + 9, AUTH, {})
    assert caught.value.code == "image.region_full"
    assert caught.value.params["need"] == room
    assert caught.value.params["room"] == room - 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ssid", "with\0nul"),
        ("ssid", "line\nbreak"),
        ("ssid", "x" * 34),
        ("pass", "x" * 64),
        ("host", "müller.example"),
        ("host", "h" * 34),
        ("port", "0"),
        ("port", "65536"),
        ("port", "https"),
        ("port", ""),
        ("port", "٤٤٣"),
    ],
)
def test_values_the_firmware_could_not_keep_are_refused(key: str, value: str) -> None:
    """NUL would end a value early, the firmware's arrays would cut it; no message repeats it."""
    with pytest.raises(UsageError) as caught:
        encode(spec(**{key: "{v}"}), STOCK, AUTH, {"v": Secret(value)})
    assert caught.value.code == "image.bad_value"
    assert len(value) < 3 or value not in f"{caught.value} {caught.value.params}"


def test_a_missing_field_is_named() -> None:
    """The unit's token came without a column that the region wants."""
    with pytest.raises(UsageError) as caught:
        encode(spec(host="{site}.example"), STOCK, AUTH, {})
    assert (caught.value.code, caught.value.params) == ("image.field_missing", {"field": "site"})


@pytest.mark.parametrize("host", ["{", "}", "{a!r}", "{a:>9}", "{}", "{0}", "{a.b}", "{a[0]}"])
def test_templates_take_names_and_nothing_else(host: str) -> None:
    """A format, an attribute or a lone brace would be dropped, or fail on the line."""
    with pytest.raises(ValidationError):
        spec(host=host)


def test_doubled_braces_are_braces() -> None:
    """For the one value in a thousand that has some."""
    assert b"\0{x}\0" in encode(spec(**{"pass": "{{x}}"}), STOCK, AUTH, {})


@given(
    ssid=st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8),
    password=st.text("@!=+-\"'\\{} ~abc", max_size=20),
)
def test_any_printable_value_comes_back(ssid: str, password: str) -> None:
    """The firmware's walk of the encoded region finds exactly what was put in."""
    fields = {"s": Secret(ssid), "p": Secret(password)}
    data = encode(spec(ssid="{s}", **{"pass": "{p}"}), STOCK, AUTH, fields)
    parts = data[8 : STOCK - 2].split(b"\0")
    walked = dict(zip(parts[::2], parts[1::2], strict=False))
    assert walked[b"ssid"] == ssid.encode()
    assert walked[b"pass"] == password.encode()
    assert walked[b"auth"] == AUTH.reveal().encode()


# What the old vendor script gets wrong (blynk.md), as facts of ours.


def test_an_empty_value_does_not_end_the_region() -> None:
    """The vendor script's pattern stops at the first empty value."""
    constant = b"blnkopt\0ssid\0\0pass\0\0host\0" + b"h" * 200 + b"\0\0\0"
    assert locate(open_image(image(constant)), SPEC).size == len(constant)


@pytest.mark.parametrize("password", ["p@ss", "wow!", "a@b!c#d$e%f^g&h*i(j)k"])
def test_a_region_whose_values_hold_signs_is_found(password: str) -> None:
    """The vendor script cannot find a tag whose password has ``@`` or ``!``."""
    constant = (
        b"blnkopt\0ssid\0net\0pass\0" + password.encode() + b"\0host\0" + b"h" * 200 + b"\0\0\0"
    )
    assert locate(open_image(image(constant)), SPEC).size == len(constant)


def test_the_region_never_shrinks() -> None:
    """The vendor script shrinks it from 305 to 97 bytes, so that a longer patch fails later."""
    golden = firmware.app("esp32")
    short, long = (patch(golden, [spec(host="{h}")], AUTH, {"h": host}) for host in ("h", "h" * 33))
    assert len(short.data) == len(long.data) == len(golden)
    assert short.regions == long.regions


@pytest.mark.parametrize("chip", firmware.APPS)
def test_checksum_and_hash_are_repaired(chip: str) -> None:
    """The vendor script repairs neither, and the bootloader refuses its image for ever."""
    assert firmware.esptool_calls_valid(chip, patch(firmware.app(chip), [SPEC], AUTH, {}).data)
