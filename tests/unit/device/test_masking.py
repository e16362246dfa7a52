"""Nothing token-shaped gets through the masker, however the text is cut."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eol_inject.device.masking import HIDDEN, Masker, hide, mask
from eol_inject.unit import AuthToken, Secret

TOKEN = "Zq4Rk9-fT_2mXw7Lc0Vb5NpJ8yHs3DgE"
TOKENS = st.text("ABCxyz019_-", min_size=32, max_size=40)
TALK = st.text("ab1_-. \n:=é", max_size=40)


def _in_chunks(text: str, cuts: list[int]) -> str:
    masker = Masker()
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    shown = "".join(masker.feed(text[a:b]) for a, b in pairwise(edges))
    return shown + masker.finish()


@given(st.lists(st.tuples(TALK, TOKENS, TALK)), st.lists(st.integers(0, 500)))
def test_no_piece_of_a_token_is_shown_in_any_chunks(
    parts: list[tuple[str, str, str]], cuts: list[int]
) -> None:
    """A run of 32 token characters never survives, and no eight of its characters do."""
    text = "".join(f"{before} {token} {after}" for before, token, after in parts)
    shown = _in_chunks(text, cuts)
    assert not re.search(r"[A-Za-z0-9_-]{32}", shown.replace(HIDDEN, " "))
    for _, token, _ in parts:
        if len(set(token)) > 4:
            assert token[8:24] not in shown


@given(TALK.filter(lambda text: not re.search(r"[\w-]{32}|sqr_", text)), st.lists(st.integers(0)))
def test_ordinary_text_comes_through_unchanged(text: str, cuts: list[int]) -> None:
    """What is not shaped like a token is not touched, wherever it is cut."""
    assert _in_chunks(text, cuts) == text


@given(st.text("abq_rs sqr_019\n", max_size=120), st.lists(st.integers(0, 200)))
def test_cutting_changes_nothing(text: str, cuts: list[int]) -> None:
    """In chunks or at once: the same text is shown."""
    assert _in_chunks(text, cuts) == mask(text)


def test_a_qr_token_is_hidden_from_its_prefix_on_even_when_cut_short() -> None:
    """``sqr_`` and whatever is attached to it: also half a QR token helps a thief."""
    assert mask("qr=sqr_abc123+7 ok") == f"qr={HIDDEN}+7 ok"
    assert mask("qr=sqr_") == f"qr={HIDDEN}"


def test_31_characters_are_no_token_and_32_are() -> None:
    """The limit is exactly an AuthToken's length."""
    assert mask(f"<{TOKEN[:31]}>") == f"<{TOKEN[:31]}>"
    assert mask(f"<{TOKEN}>") == f"<{HIDDEN}>"


def test_a_masker_can_be_used_again_after_finish() -> None:
    """The end of one text is not the beginning of the next."""
    masker = Masker()
    assert masker.feed(TOKEN) + masker.finish() == HIDDEN
    assert masker.feed("ready") + masker.finish() == "ready"


@pytest.mark.parametrize(
    "said",
    [
        "pass={}",
        "ssid plant pass {} end",
        "{}{}",
    ],
)
@pytest.mark.parametrize("secret", ["hunter2!", 'pl"ant \\ 7', "Zürich + 1 %", TOKEN])
@pytest.mark.parametrize(
    "written",
    [
        lambda text: text,
        lambda text: json.dumps(text)[1:-1],
        quote,
        lambda text: text.encode().hex(),
        lambda text: text[:2] + "\r\n" + text[2:],
        "\n".join,
    ],
)
def test_a_units_own_secrets_are_hidden(
    said: str, secret: str, written: Callable[[str], str]
) -> None:
    """As they are, escaped, and broken over lines."""
    shown = hide(said.replace("{}", written(secret)), [Secret(secret)])
    assert shown == said.replace("{}", HIDDEN)


def test_a_token_with_another_line_in_between_is_hidden() -> None:
    """The pieces of it, wherever it is cut."""
    for cut in range(8, len(TOKEN) - 7):
        text = f"auth={TOKEN[:cut]}\r\n[1234] WiFi is up\r\n{TOKEN[cut:]}\r\n"
        assert hide(text, [AuthToken(TOKEN)]) == (
            f"auth={HIDDEN}\r\n[1234] WiFi is up\r\n{HIDDEN}\r\n"
        )


@pytest.mark.parametrize(
    "written",
    [
        " ".join,
        "\0".join,
        lambda text: text[::-1],
        lambda text: text.encode().hex(" "),
        lambda text: text.encode().hex(":").upper(),
        lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
        lambda text: "\n".join(
            f"{at:04x}  {text.encode()[at : at + 16].hex(' ')}  |{text[at : at + 16]}|"
            for at in range(0, len(text), 16)
        ),
    ],
)
def test_a_token_in_another_dress_is_hidden(written: Callable[[str], str]) -> None:
    """Spaced out, backwards, or as a dump of its bytes: nothing is left to put it together from."""
    shown = hide(f"auth {written(TOKEN)} end", [AuthToken(TOKEN)])
    assert shown.startswith("auth ")
    assert shown.endswith(" end")
    left = re.sub(r"[^a-z0-9]", "", shown.replace(HIDDEN, "/").lower().replace("0x", ""))
    bare = re.sub(r"[^a-z0-9]", "", TOKEN.lower())
    for at in range(len(bare) - 8):
        assert bare[at : at + 8] not in left
        assert bare[at : at + 8][::-1] not in left
    digits = TOKEN.encode().hex()
    assert not any(digits[at : at + 12] in left for at in range(len(digits) - 12))


def test_what_is_not_secret_stays() -> None:
    """Nothing hides nothing, and a short secret does not eat the words around it."""
    text = "I (29) boot: pin 7 is spinning\r\n"
    assert hide(text, []) == text
    assert hide(text, [Secret("")]) == text
    assert hide(text, [Secret("7")]) == text.replace("7", HIDDEN)
    assert hide(text, [Secret("pin")]) == text.replace("pin 7", f"{HIDDEN} 7")
