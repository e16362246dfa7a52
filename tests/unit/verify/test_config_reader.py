"""Classic Edgent's struct and new Edgent's string, field by field."""

import pytest

from eol_inject.unit import Secret
from eol_inject.verify import PlaceState, edgent
from tests.unit.verify.building import AUTH, TOKEN, config


def test_the_struct_has_212_bytes_and_its_fields_where_the_sheet_says() -> None:
    """Token at 118, host at 152, both 34 bytes."""
    data = config()
    assert len(data) == edgent.CONFIG_SIZE == 212
    assert data[118:150] == TOKEN.encode()
    content = edgent.decode_config(data)
    assert (content.state, content.auth) == (PlaceState.TOKEN, AUTH)
    assert content.values == {"host": "blynk.cloud"}


def test_fields_end_at_their_nul_or_with_their_array() -> None:
    """What stands behind a NUL is not read, and no field runs into the next."""
    data = bytearray(config())
    data[151] = data[185] = 0x21
    content = edgent.decode_config(bytes(data))
    assert (content.auth, content.values["host"]) == (AUTH, "blynk.cloud")
    data[152:186] = b"h" * 34
    assert edgent.decode_config(bytes(data)).values["host"] == "h" * 34
    data[118:152] = b"t" * 34
    assert edgent.decode_config(bytes(data)).state is PlaceState.TORN


def test_a_token_in_the_place_of_the_host_is_not_shown() -> None:
    """By its shape."""
    data = bytearray(config())
    data[152:186] = TOKEN.encode() + b"\0\0"
    assert edgent.decode_config(bytes(data)).values["host"] == Secret(TOKEN)


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (TOKEN.encode(), PlaceState.TOKEN),
        (TOKEN.encode() + b"\0rest", PlaceState.TOKEN),
        (b"", PlaceState.BLANK),
        (b"invalid token", PlaceState.BLANK),
        (TOKEN.encode()[:-1], PlaceState.BLANK),
        (TOKEN.encode() + b"x", PlaceState.BLANK),
        (b"\xff" * 32, PlaceState.TORN),
        (b"!" * 32, PlaceState.TORN),
        (b"PlaceholderPlaceholderPlaceholde", PlaceState.BLANK),
    ],
)
def test_new_edgent_takes_exactly_32_characters(value: bytes, state: PlaceState) -> None:
    """Any other length is unset; any 32 characters it would send to the cloud."""
    assert edgent.decode_auth(value).state is state
