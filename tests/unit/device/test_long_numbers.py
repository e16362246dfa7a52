"""A unit's number that is long enough for a token: one number in every form, and never a token."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device.identity import public_fact
from eol_inject.device.masking import HIDDEN
from eol_inject.errors import UnitError
from eol_inject.label.names import safe_name
from eol_inject.label.values import fill
from eol_inject.unit import AuthToken, Identifier, grouped

NUMBERS = st.text("0123456789abcdefABCDEF", min_size=32, max_size=64).filter(
    lambda digits: len(set(digits.lower())) > 1
)
TOKEN = "0123456789abcdefABCDEF0123456789"
NOT = "Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"


@given(NUMBERS, st.sampled_from(["", "-", ":", ".", " "]), st.integers(1, 16))
def test_every_form_of_a_number_names_the_same_unit(digits: str, between: str, every: int) -> None:
    """Bare, separated, in either case, and as it is kept itself; nothing takes that for a token."""
    parts = [digits[at : at + every] for at in range(0, len(digits), every)]
    kept = Identifier("uid", between.join(parts).lower()).value
    assert kept.replace(".", "") == digits.upper()
    assert Identifier("uid", kept).value == kept
    assert not re.search(r"[A-Za-z0-9_-]{32}", kept)
    assert fill("{uid}", {"uid": kept}, element="text") == kept
    assert safe_name(kept)
    assert public_fact("uid", digits, lambda _: False) == grouped(digits)


@pytest.mark.parametrize(
    "text",
    ["SN000001", "123e4567-e89b-42d3-a456-426614174000", "0123456789ABCDEF0123456789ABCDE", NOT],
)
def test_what_is_no_long_number_stays_as_it_is(text: str) -> None:
    """A short one, a UUID, 31 digits, and what only looks like a token."""
    assert Identifier("serial", text).value == text


@pytest.mark.parametrize("text", ["0" * 32, "F" * 32, "00000000." * 3 + "00000000", "a [hidden]"])
def test_a_long_placeholder_names_no_unit(text: str) -> None:
    """Erased, never set, or hidden: it would be many units' number."""
    with pytest.raises(UnitError) as caught:
        Identifier("uid", text)
    assert caught.value.code == "device.bad_identity"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (TOKEN, TOKEN),
        (f"00{TOKEN}", TOKEN),
        ("-".join(re.findall("....", TOKEN)), TOKEN),
        *(
            (told, kept)
            for told in (TOKEN, TOKEN.lower(), TOKEN.upper(), grouped(TOKEN))
            for kept in (TOKEN.lower(), TOKEN.upper())
        ),
        ("01234567-89abcdef-01234567-89abcdef", "01234567-89abcdef-01234567-89abc"),
    ],
)
def test_a_token_of_the_ledger_is_no_number(told: str, kept: str) -> None:
    """However it is written, as far as its case has survived; the error does not repeat it."""
    with pytest.raises(UnitError) as caught:
        public_fact("uid", told, lambda one: one == AuthToken(kept))
    assert caught.value.code == "device.identity_is_token"
    assert TOKEN.lower() not in f"{caught.value}{caught.value.params}".lower()


def test_only_a_number_that_names_a_unit_is_shown() -> None:
    """Another fact of that shape is hidden as ever, and so is a number that is not in hex."""
    assert public_fact("revision", TOKEN, lambda _: False) == HIDDEN
    assert public_fact("uid", NOT, lambda _: False) == HIDDEN
