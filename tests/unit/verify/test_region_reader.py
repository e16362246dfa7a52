"""What a ``blnkopt`` region says, read as the firmware reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.unit import Secret
from eol_inject.verify import PlaceState, decode_region
from eol_inject.verify import blnkopt as reader
from tests.unit.verify.building import AUTH, OTHER, PLACEHOLDER, STOCK, TOKEN, filled, region


def test_the_stock_region_has_306_bytes_and_is_blank() -> None:
    """The sheet's figure, and no token in it."""
    assert len(STOCK) == 306
    content = decode_region(STOCK, "blnkopt")
    assert (content.state, content.auth) == (PlaceState.BLANK, None)


def test_a_filled_region_gives_token_and_values() -> None:
    """The token is an AuthToken, public values are text."""
    content = decode_region(filled(), "blnkopt")
    assert content.state is PlaceState.TOKEN
    assert content.auth == AUTH
    assert content.values == {"ssid": "", "host": "blynk.cloud", "port": "443"}


def test_a_list_may_fill_its_region_to_the_end_mark() -> None:
    """Two bytes of it are not walked; with one of them missing the firmware would run over."""
    body = region([("ssid", ""), ("auth", TOKEN)], 0)
    assert decode_region(body + b"\0\0", "blnkopt").state is PlaceState.TOKEN
    for short in (body + b"\0", body):
        assert decode_region(short, "blnkopt").state is PlaceState.TORN
    assert reader.decode_found(body + b"\0\0", len(body) + 2).state is PlaceState.TOKEN


def test_a_password_stays_a_secret() -> None:
    """Only ssid, host and port may be shown."""
    content = decode_region(
        region([("ssid", "net"), ("pass", "hunter2"), ("auth", TOKEN)]), "blnkopt"
    )
    assert content.values["pass"] == Secret("hunter2")
    assert "hunter2" not in repr(content)
    assert TOKEN not in repr(content)


def test_an_erased_region_is_blank() -> None:
    """All FF: nothing was ever there, or it was erased."""
    content = decode_region(b"\xff" * 306, "blnkopt")
    assert (content.state, content.why) == (PlaceState.BLANK, "erased")


@pytest.mark.parametrize(
    "token", ["", "invalid token", PLACEHOLDER[:66], PLACEHOLDER[:32], "Placeholder for a token"]
)
def test_a_build_that_reserves_auth_is_blank(token: str) -> None:
    """Placeholder words are no token, though 32 characters of them have the shape of one."""
    assert decode_region(filled(token), "blnkopt").state is PlaceState.BLANK


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (filled(TOKEN[:-1]), "31 characters that are no AuthToken"),
        (filled(TOKEN + "x"), "33 characters that are no AuthToken"),
        (filled(TOKEN[:-1] + "!"), "32 characters that are no AuthToken"),
        (region([("auth", TOKEN), ("host", "h")]), "without ssid the firmware ignores the token"),
        (region([("ssid", ""), ("auth", TOKEN), ("auth", OTHER)]), "the key auth stands twice"),
        (region([("ssid", ""), ("ssid", "x")]), "the key ssid stands twice"),
        (filled()[:200] + b"\xff" * 106, "half erased"),
        (filled()[:30] + b"\xff" * 276, "half erased"),
        (b"\xff" * 8 + filled()[8:], "the tag is missing"),
        (filled()[:-1] + b"x", "bytes behind the end of the list"),
        (filled()[:8] + b"\0" + filled()[8:-1], "bytes behind the end of the list"),
        (b"blnkopt\0ssid\0\0auth\0" + TOKEN.encode(), "the list has no end"),
        (
            b"blnkopt\0ssid\0\0auth\0" + TOKEN.encode() + b"\0",
            "the list runs over the region's end",
        ),
        (b"blnkopt\0ssid\0\0auth\0", "the last key has no value"),
        (region([("ssid", "\x01"), ("auth", TOKEN)]), "bytes that are no text"),
        (b"blnkopt\0ssid\0\xc3\x28\0\0\0", "bytes that are no text"),
    ],
)
def test_what_the_firmware_would_misread_is_torn(data: bytes, why: str) -> None:
    """Each with a phrase that holds no value."""
    content = decode_region(data, "blnkopt")
    assert (content.state, content.why) == (PlaceState.TORN, why)
    assert TOKEN not in why


def test_out_of_step_no_token_is_shown_as_a_key() -> None:
    """One NUL too few: the token stands in a key's place, and a key's name is not wrapped."""
    data = filled().replace(b"ssid\0\0", b"ssid\0").ljust(306, b"\0")
    for content in (decode_region(data, "blnkopt"), reader.decode_found(data, 306)):
        assert content.state is PlaceState.TORN
        assert TOKEN not in repr(content)
    data = filled()[:30] + b"\0" + filled()[31:]
    assert TOKEN[12:] not in repr(decode_region(data, "blnkopt"))


def test_a_token_under_a_public_key_is_not_shown() -> None:
    """It has no business there, and no harm comes of hiding it."""
    content = decode_region(region([("ssid", ""), ("auth", TOKEN), ("host", OTHER)]), "blnkopt")
    assert content.auth == AUTH
    assert OTHER not in repr(content)


def test_another_firmware_may_have_keys_of_its_own() -> None:
    """Found on a unit they are left alone; in what we wrote there are none."""
    data = region([("ssid", ""), ("auth", TOKEN), ("vendor", "x")])
    assert reader.decode_found(data, 306).auth == AUTH
    assert decode_region(data, "blnkopt").why == "a key that the firmware does not know"


def test_a_token_in_a_torn_region_is_still_told() -> None:
    """Whose it is decides, even where the firmware would not take it."""
    content = decode_region(region([("auth", TOKEN), ("host", "h")]), "blnkopt")
    assert content.auth == AUTH


def test_a_found_region_may_be_shorter_than_the_golden_one() -> None:
    """Another firmware's region, with other constants behind it."""
    data = region([("ssid", ""), ("auth", TOKEN)], 80) + b"other constants\0" * 20
    content = reader.decode_found(data, 306)
    assert (content.state, content.auth) == (PlaceState.TOKEN, AUTH)


def test_auth_behind_the_end_mark_is_not_taken_for_blank() -> None:
    """The firmware knows no end mark: it would walk on and find the token."""
    data = region([("ssid", ""), ("", ""), ("auth", TOKEN)])
    assert reader.decode_found(data, 306).state is PlaceState.TORN
    assert decode_region(data, "blnkopt").state is PlaceState.TORN


def test_a_region_without_known_size_ends_at_its_first_empty_key() -> None:
    """The window behind it is not judged."""
    assert reader.decode_found(STOCK + b"\xff" * 300, None).state is PlaceState.BLANK


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_give_a_content(data: bytes, tagged: bool) -> None:
    """No bytes lead to an error."""
    whole = reader.TAG + data if tagged else data
    for content in (decode_region(whole, "blnkopt"), reader.decode_found(whole, 306)):
        assert isinstance(content.state, PlaceState)
        if content.state is PlaceState.TOKEN:
            assert content.auth is not None


@given(st.integers(0, 305), st.integers(1, 255))
def test_one_changed_byte_does_not_make_a_filled_region_blank(at: int, flip: int) -> None:
    """Torn, or a token; blank only where the key ``auth`` itself became another key."""
    data = bytearray(filled())
    data[at] ^= flip
    content = decode_region(bytes(data), "blnkopt")
    assert content.state is not PlaceState.BLANK or b"\0auth\0" not in data
